"""Cameras made from what they see."""
