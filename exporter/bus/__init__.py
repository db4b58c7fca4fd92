"""The event bus: what nodes publish on Redis, and what the registry publishes."""
