"""Coverage-guided fuzzing of everything that reads the bytes of strangers: `make fuzz`."""
