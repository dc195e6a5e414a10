"""Whether a dependency is known to be vulnerable."""
