"""What a heartbeat waits while many follow the event stream."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import requests

from benchmarks import contenders, population
from benchmarks.contenders import Process
from benchmarks.plan import Plan
from benchmarks.report import Section, Target
from benchmarks.waiting import percentile, row, waits

COMPARED = """\
As under *Waiting*, while so many connections follow `/events`, and while a node is drained or put back into service so
many times a second, of which each of them gets an event. Followers, prober and registry share the machine's cores."""
NODES = 1_000
CHANGES_A_SECOND = 5


def measure(plan: Plan, directory: Path) -> Section:
    """Without followers and with them, without events and with them."""
    rows, found = [], {}
    with contenders.registry(directory) as registry:
        population.register(registry.port, NODES)
        for streams in (0, plan.event_streams):
            with _followers(registry, streams):
                for changes in (0, CHANGES_A_SECOND):
                    with _changing(registry, changes):
                        waited, _ = waits(registry, plan.event_seconds, scraping=False)
                    found[streams, changes] = waited
                    rows.append(row(f"{streams:,} followers, {changes} events a second", waited))
    worst = 1000 * percentile(found[plan.event_streams, CHANGES_A_SECOND], 99)
    promise = f"99 % of heartbeats beside {plan.event_streams:,} followers answered within"
    target = Target(promise, 10, worst, "ms", at_most=True)
    return Section("Followers of events", COMPARED, ("heartbeat's answer", "p50", "p99", "max"), rows, [target])


@contextlib.contextmanager
def _followers(registry: Process, streams: int) -> Iterator[None]:
    if not streams:
        yield
        return
    argv = [sys.executable, "-m", "benchmarks.peers.followers", str(registry.port), str(streams)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.terminate()


@contextlib.contextmanager
def _changing(registry: Process, a_second: int) -> Iterator[None]:
    ended = threading.Event()

    def change() -> None:
        url = f"http://127.0.0.1:{registry.port}/nodes/{population.name(0)}/drain"
        with requests.Session() as session:
            while not ended.wait(1 / a_second):
                session.put(url, json={}, timeout=30).raise_for_status()
                if not ended.wait(1 / a_second):
                    session.delete(url, timeout=30).raise_for_status()

    thread = threading.Thread(target=change)
    if a_second:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        if a_second:
            thread.join()
