"""Which heads run on a frame, and at which size: `perception run --budget-ms`."""
