"""The facts: what can have happened, how it is written down, and the protocols at which the other rooms meet."""
