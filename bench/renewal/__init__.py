"""What renewal costs in a large estate."""
