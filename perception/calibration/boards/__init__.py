"""Cameras from pictures of chessboards and ChArUco boards."""
