"""What the log alone shows: the invariants, judged without asking any view."""
