"""AWS accounts: the certificates that they hold, and the listeners, distributions and domains that use them."""
