"""The rows about deployments: what a fan-out over SSH costs, and that no kill leaves a host in an unknown state."""
