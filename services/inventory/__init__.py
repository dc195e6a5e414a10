"""Inventory decides what a certificate means and how urgent it is; it owns certificates, places and tokens."""
