"""The decisions: what policy says, how a case moves, and the durable loss case around both."""
