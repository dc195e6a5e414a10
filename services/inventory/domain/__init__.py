"""The rules of the inventory: urgency, what a place served when, replacements, and API keys."""
