"""What the inventory answers at a million certificates, and how fast."""
