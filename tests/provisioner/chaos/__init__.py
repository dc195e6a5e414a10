"""Deployments to a real server while the provisioner, the host's sshd and the network are killed at points that a seed chooses."""
