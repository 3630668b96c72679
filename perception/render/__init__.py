"""The synthetic dashcam: drives with exact labels, made of numbers alone. Needs NumPy and OpenCV, no torch."""
