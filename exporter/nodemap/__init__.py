"""The node map: the only mutable state, and the only place where a status changes."""
