"""The notifier's routes."""
