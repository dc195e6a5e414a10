"""The notifier's rules: what is an alert, how bad it is, when it is over, whom it is told, and in what words."""
