"""The views: what the log says, as tables that can be thrown away and folded again."""
