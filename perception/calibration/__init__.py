"""Cameras measured, and read from and written to what other tools keep them in."""
