"""What single pictures, and pairs of them, tell: points, motion, lines, sizes. Geometry alone, without files."""
