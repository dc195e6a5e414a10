"""What the inventory remembers: the only room that knows SQL."""
