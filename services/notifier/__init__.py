"""The notifier decides who must know of a problem, and owns channels, rules, alerts and deliveries."""
