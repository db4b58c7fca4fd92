"""The commands: arguments, text of `--help`, and the function that does each. Lines fit 80 columns."""
