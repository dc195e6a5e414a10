"""Decides what exists and where: scans networks for TLS certificates and remembers the places."""
