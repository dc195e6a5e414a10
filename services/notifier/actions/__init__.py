"""What the notifier can do: the verbs on alerts, channels, rules and deliveries."""
