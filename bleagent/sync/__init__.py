"""The other jobs of a visit: what the cloud holds for a lock is brought to it, never first."""
