"""What brings any handler the log's records, live."""
