"""The verbs of discovery."""
