"""How things are: what is counted, what is remembered, and what is told of it (safety F6)."""
