"""The rows about the join of what is configured and what is served, over a large inventory in PostgreSQL."""
