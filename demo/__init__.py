"""The real thing on one machine, with a simulated mesh that misbehaves: `python -m demo`, or `make demo`."""
