"""Commands that ask a running platform, all through its public contracts."""
