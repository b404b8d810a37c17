"""What is done: the licensing backend, signing, and the append to the log."""
