"""Whether a certificate was revoked: what authorities say of it, and whether they may be believed."""
