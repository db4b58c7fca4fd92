"""How long a heartbeat waits while everything is scraped."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import client, contenders, population
from benchmarks.contenders import Process
from benchmarks.plan import Plan
from benchmarks.report import Section, Target

COMPARED = """\
Heartbeats over HTTP, one every 5 ms on a keep-alive connection of their own, timed until the answer (one that had to
wait for the one before it, from when it was due), by a process of their own; while all nodes are scraped with gzip by
another client, one scrape after the other, and without scrapes. Both clients share the registry's cores, so some of
the wait is theirs."""


def measure(plan: Plan, directory: Path) -> Section:
    """Waits without scrapes, then with them."""
    with contenders.registry(directory) as registry:
        population.register(registry.port, plan.wait_nodes)
        client.scrape(registry.port, gzip=True)
        alone, _ = waits(registry, plan.wait_seconds, scraping=False)
        beside, scrapes = waits(registry, plan.wait_seconds, scraping=True)
    rows = [row("no scrapes", alone), row(f"{scrapes} scrapes of {plan.wait_nodes:,} nodes, gzip", beside)]
    target = Target(
        "99 % of heartbeats during scrapes answered within", 10, 1000 * percentile(beside, 99), "ms", at_most=True
    )
    return Section("Waiting", COMPARED, ("heartbeat's answer", "p50", "p99", "max"), rows, [target])


def waits(registry: Process, seconds: int, *, scraping: bool) -> tuple[list[float], int]:
    """Seconds that heartbeats waited, and how many scrapes there were beside them."""
    argv = [sys.executable, "-m", "benchmarks.peers.prober", str(registry.port), str(seconds)]
    argv += ["tls"] if registry.secured else []
    scrapes = 0
    # To a file: nobody empties a pipe while the scrapes go on.
    with tempfile.TemporaryFile("w+") as output, subprocess.Popen(argv, stdout=output) as prober:
        while scraping and prober.poll() is None:
            client.scrape(registry.port, gzip=True)
            scrapes += 1
        prober.wait()
        output.seek(0)
        found: list[float] = json.load(output)
    return found, scrapes


def percentile(found: list[float], percent: int) -> float:
    """So many percent of the waits are at most this long."""
    return statistics.quantiles(found, n=100)[percent - 1]


def row(label: str, found: list[float]) -> tuple[str, ...]:
    """The label, the median, the 99th percentile and the longest wait."""
    figures = (percentile(found, 50), percentile(found, 99), max(found))
    return (label, *(f"{1000 * figure:.2f} ms" for figure in figures))
