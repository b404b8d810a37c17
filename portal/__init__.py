"""The doors: how statements come in and how people ask."""
