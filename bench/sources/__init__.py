"""The rows about sources: many hosts over SSH, read as one job by the platform, and by a script that does nothing else."""
