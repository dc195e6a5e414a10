"""What the configuration of servers says about certificates: text in, findings out, never an exception."""
