"""What locks remember: taken off them safely, and carried on once (reference: safety D)."""
