"""The one place that builds the parts and minds their lifetimes."""
