"""The verbs of renewal."""
