"""How a program of ours ends: within its deadline, whatever its tasks do."""
