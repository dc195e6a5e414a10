"""The verbs of the inventory: each loads, asks the domain, and saves and tells in one transaction."""
