"""The commands: what each can be told, how `--help` tells of it, and which function does it. Lines fit 80 columns."""
