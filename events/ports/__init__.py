"""The protocols at which the rooms meet, and the values that pass between them."""
