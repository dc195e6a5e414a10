"""What the provisioner can do: the verbs on targets, bindings and deployments."""
