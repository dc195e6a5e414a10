"""Rows `events.*`."""
