"""How long a heartbeat waits while hostile connections do what they can."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import client, contenders, population
from benchmarks.peers.attacker import KINDS
from benchmarks.plan import Plan
from benchmarks.processes import resident_bytes
from benchmarks.report import Section, Target
from benchmarks.waiting import percentile, row, waits

COMPARED = """\
As under *Waiting*, while another process holds so many hostile connections of one kind at once, from a trusted address:
what limits callers that are not trusted does not bind them. Attacker, prober and registry share the machine's cores;
the attacker yields to the others, as one on another machine would, and still a part of the wait is its own. Memory is
the registry's, resident, before and at the end. All nodes send a heartbeat every three seconds, in batches, and would
be in warning after ten without one: *changed* counts those whose status did change."""
SETTLE_SECONDS = 2
STORE = "sqlite:///attacked.db"
INTERVAL_SECONDS = 3
IMPATIENT = {
    "AURORA_THRESHOLDS_HEARTBEAT_INTERVAL": f"{INTERVAL_SECONDS}s",
    "AURORA_THRESHOLDS_WARNING_AFTER": "10s",
    "AURORA_THRESHOLDS_OFFLINE_AFTER": "1h",
}
QUERY = "?name[]=aurora_node_status_transitions_total"
CHANGES = re.compile(rb'^aurora_node_status_transitions_total{node="node-[^}]*status="warning"} ([1-9])', re.MULTILINE)


def measure(plan: Plan, directory: Path) -> Section:
    """Waits for each kind of attack, with the memory that it took and the nodes whose status changed."""
    rows, worst = [], 0.0
    with contenders.registry(directory, store=STORE, environment=IMPATIENT) as registry:
        population.register(registry.port, plan.attack_nodes)
        client.scrape(registry.port, gzip=False)
        with _heartbeats(registry.port, plan.attack_nodes):
            baseline, _ = waits(registry, plan.attack_seconds, scraping=False)
            rows.append((*row("no attack", baseline), "", ""))
            before_all = changed = _changes(registry.port)
            for kind in KINDS:
                before = resident_bytes(registry.pid)
                argv = [sys.executable, "-m", "benchmarks.peers.attacker", kind, str(registry.port)]
                seconds = plan.attack_seconds + SETTLE_SECONDS
                with subprocess.Popen(
                    [*argv, str(plan.attack_connections), str(seconds)], start_new_session=True
                ) as attacker:
                    time.sleep(SETTLE_SECONDS)
                    waited, _ = waits(registry, plan.attack_seconds, scraping=False)
                    after = resident_bytes(registry.pid)
                    attacker.wait()
                worst = max(worst, percentile(waited, 99))
                memory = f"{before / 2**20:.0f} → {after / 2**20:.0f} MiB"
                now = _changes(registry.port)
                rows.append((*row(f"{plan.attack_connections} {kind}", waited), memory, f"{now - changed}"))
                changed = now
    targets = [
        Target("99 % of heartbeats under attack answered within", 50, 1000 * worst, "ms", at_most=True),
        Target("nodes whose status changed under attack", 0, changed - before_all, "", at_most=True),
    ]
    heads = ("heartbeat's answer", "p50", "p99", "max", "memory", "changed")
    return Section("Under attack", COMPARED, heads, rows, targets)


def _changes(port: int) -> int:
    """Nodes that were in warning at any time."""
    return len(CHANGES.findall(client.scrape(port, gzip=False, query=QUERY).body))


@contextlib.contextmanager
def _heartbeats(port: int, nodes: int) -> Iterator[None]:
    """Of all nodes, until it is left."""
    ended = threading.Event()

    def send() -> None:
        while not ended.wait(INTERVAL_SECONDS):
            population.heartbeat_all(port, nodes)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
