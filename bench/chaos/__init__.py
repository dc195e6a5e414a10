"""Rows `chaos.*`."""
