"""The world of a drive: road, traffic, what stands beside it. Knows nothing of pictures."""
