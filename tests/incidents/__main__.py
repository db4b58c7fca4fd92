"""`make incidents`: random incidents from printed seeds, each judged by the oracle. Exits 1 if a message was wrong."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from tests.incidents.play import Play
from tests.support.generations import GENERATIONS

TOGETHER = 20
"""Incidents of one play."""


def main() -> int:
    """Play them, on the generations of servers in turn."""
    parser = argparse.ArgumentParser(prog="python -m tests.incidents")
    parser.add_argument("--count", type=int, default=200, help="incidents of all plays together (default: 200)")
    parser.add_argument("--seed", default=f"{random.randrange(10**6):06}", help="repeats a run (default: a new one)")
    arguments = parser.parse_args()
    generations = [generation for generation in GENERATIONS if generation.available]
    plays, wrong = -(-arguments.count // TOGETHER), 0
    unjudged = 0
    for number in range(plays):
        generation = generations[number % len(generations)]
        play = Play(f"{arguments.seed}-{number}", min(TOGETHER, arguments.count - number * TOGETHER))
        sys.stdout.write(f"{number + 1}/{plays} {play}; {generation.versions()}\n")
        sys.stdout.flush()
        with tempfile.TemporaryDirectory(prefix="aurora-incidents-") as directory:
            faults = play.faults(Path(directory), generation)
        judged = not faults or play.attempts[-1].metronome.kept_time
        wrong, unjudged = wrong + len(faults) * judged, unjudged + play.count * (not judged)
        for attempt in play.attempts:
            if attempt.faults:
                stall = attempt.metronome.stall_seconds
                sys.stdout.write(f"  {len(attempt.faults)} wrong; the longest stall of this machine: {stall:.1f} s\n")
                sys.stdout.writelines(f"    {fault}\n" for fault in attempt.faults)
    sys.stdout.write(
        f"{arguments.count} incidents of seed {arguments.seed}: {wrong} wrong messages;"
        f" {unjudged} incidents not judged, as this machine did not keep time\n"
    )
    return 1 if wrong or unjudged else 0


if __name__ == "__main__":
    sys.exit(main())
