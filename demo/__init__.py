"""The demonstration: a small real estate on loopback, and one certificate's way through the loop."""
