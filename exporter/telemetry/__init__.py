"""Metrics about the registry itself."""
