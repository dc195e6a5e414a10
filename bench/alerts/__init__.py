"""What it costs to tell people and machines."""
