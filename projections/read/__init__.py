"""What doors read from the views."""
