"""Figures of merit on NumPy arrays, summed over a data set. No torch."""
