"""The rows about the scanner: a farm of TLS servers on loopback, and peers that scan the same list."""
