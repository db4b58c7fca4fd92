"""The programs that run beside the registry, each in a process of its own."""
