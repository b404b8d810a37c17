"""The vendors' inbox topics as a door."""
