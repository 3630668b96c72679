"""Measurements of engines and of the loop around them."""
