"""Rows `lifecycle.*`."""
