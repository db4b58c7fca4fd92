"""How a program of ours starts, and ends: within its deadline, whatever its tasks do."""
