"""How a camera is mounted, from the road that it sees while the vehicle drives."""
