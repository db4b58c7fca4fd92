"""Measure, print, and write `benchmarks/results.md`; what is not measured this time stays in it, with its date."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks import (
    agents,
    alert_rules,
    attacks,
    following,
    limits,
    mass_changes,
    memory,
    over_bus,
    over_http,
    page,
    scraping,
    waiting,
)
from benchmarks.plan import FULL, QUICK
from benchmarks.report import Measured, read, results, write

RESULTS = Path(__file__).with_name("results.md")
MEASUREMENTS = {
    "scrape": scraping.measure,
    "http": over_http.measure,
    "bus": over_bus.measure,
    "memory": memory.measure,
    "wait": waiting.measure,
    "limits": limits.measure,
    "attacks": attacks.measure,
    "events": following.measure,
    "page": page.measure,
    "rules": alert_rules.measure,
    "agent": agents.measure,
    "mass": mass_changes.measure,
}


def main() -> None:
    """A promise that is missed stands in the table; it is no failure of the run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="The registry beside its alternatives.")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs: nothing is kept")
    parser.add_argument("--only", metavar=",".join(MEASUREMENTS), help="some of the measurements")
    parser.add_argument(
        "--output", type=Path, default=RESULTS, metavar="FILE", help=f"where to write (default {RESULTS.name})"
    )
    arguments = parser.parse_args()
    chosen = arguments.only.split(",") if arguments.only else list(MEASUREMENTS)
    if unknown := set(chosen) - set(MEASUREMENTS):
        parser.error(f"--only: expected {', '.join(MEASUREMENTS)}, got {', '.join(sorted(unknown))}")
    plan = QUICK if arguments.quick else FULL
    kept_in = arguments.output.with_suffix(".json")
    measured = {} if arguments.quick else read(kept_in)
    text = ""
    for name in chosen:
        print(f"measuring: {name} ...", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="aurora-benchmarks-") as directory:
            measured[name] = Measured.now(MEASUREMENTS[name](plan, Path(directory)))
        measured = {each: measured[each] for each in MEASUREMENTS if each in measured}
        text = results(measured.values(), quick=arguments.quick)
        if not arguments.quick:  # After each: what was measured stays, whatever ends the run.
            write(kept_in, measured)
            arguments.output.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
