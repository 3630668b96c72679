"""What stands beside the road, by where it stands."""
