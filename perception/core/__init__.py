"""What every part shares. NumPy only; imports nothing else of this package."""
