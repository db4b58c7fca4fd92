"""`make soak`: random faults from a printed seed, judged by the oracle. Exits 1 if anything was lost or false."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from pathlib import Path

from tests.soak.run import soak


def main() -> int:
    """Play it, and print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (default: 30)")
    parser.add_argument("--nodes", type=int, default=500, help="how many (default: 500)")
    parser.add_argument("--seed", default=f"{random.randrange(10**6):06}", help="repeats a run (default: a new one)")
    parser.add_argument("--keep", type=Path, help="where the registries' logs are left (default: nowhere)")
    arguments = parser.parse_args()

    def say(line: str) -> None:
        print(line, flush=True)

    say(f"soak: seed {arguments.seed}, {arguments.minutes:g} minutes, {arguments.nodes} nodes, 3 registries")
    with tempfile.TemporaryDirectory(prefix="aurora-soak-") as directory:
        where = arguments.keep or Path(directory)
        where.mkdir(parents=True, exist_ok=True)
        result = asyncio.run(soak(where, arguments.seed, arguments.minutes * 60, nodes=arguments.nodes, say=say))
    for line in result.lines():
        say(line)
    say(f"seed {arguments.seed}: {'held' if result.held else 'not held'}")
    return 0 if result.held else 1


if __name__ == "__main__":
    sys.exit(main())
