"""Which case is in which part, and what parts must not share. Never torch."""
