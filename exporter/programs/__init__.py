"""What people start: the registry, and its client for the command line."""
