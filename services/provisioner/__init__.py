"""Decides how a certificate gets in place, and when it counts as there; owns targets, bindings and deployments."""
