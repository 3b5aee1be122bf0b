"""What lies on disk: curves, networks, checkpoints, and where they come from."""
