"""How fast our own authority issues, beside `cryptography` alone."""
