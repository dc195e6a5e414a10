"""The scanner: asks servers for their certificates with hellos made by hand, and reads what they say first."""
