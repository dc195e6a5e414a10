"""A distrusted CA is replaced on thousands of endpoints while parts of the platform are killed."""
