"""`python -m tests.fuzz`: a million inputs and more, from a seed that is printed."""

from __future__ import annotations

import argparse
import resource
import secrets

from tests.fuzz import records, targets
from tests.fuzz.engine import run

SHARES = {"registration": 0.25, "heartbeat": 0.25, "event": 0.25, "configuration": 0.05, "http": 0.19}
RECORDS = 0.01
"""Each that is taken is the start of three registries."""


def main() -> None:
    """Run every target, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000, metavar="N", help="of all targets together (1000000)")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**9), metavar="N", help="to repeat a run")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    http = targets.Http()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, share in SHARES.items():
        target = http if name == "http" else getattr(targets, name)
        outcome = run(target, targets.CORPUS[name], arguments.seed, round(arguments.inputs * share))
        print(f"{name:<14} {outcome.inputs:>9} inputs, slowest {outcome.slowest_seconds * 1000:.1f} ms", flush=True)
    inputs = round(arguments.inputs * RECORDS)
    taken = records.run(records.Records(), arguments.seed, inputs)
    print(f"{'records':<14} {inputs:>9} inputs, {taken} taken", flush=True)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"peak memory grew by {grown / 1024:.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
