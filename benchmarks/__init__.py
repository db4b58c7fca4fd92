"""Aurora Node Registry beside what one would use instead: `python -m benchmarks`."""
