"""The rules of discovery: what may be looked at, what an answer means, and when to look again."""
