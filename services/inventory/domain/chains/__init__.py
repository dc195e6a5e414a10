"""Whether what is served leads to a root that is trusted, and what is wrong with it where it does not."""
