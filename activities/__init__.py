"""The deeds: the licensing backend, signing, and the append to the log."""
