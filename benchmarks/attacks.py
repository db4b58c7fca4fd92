"""How long a heartbeat waits while hostile connections do what they can."""

from __future__ import annotations

import contextlib
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import trustme

from benchmarks import client, contenders, population
from benchmarks.contenders import Process
from benchmarks.peers.attacker import HTTP_KINDS, TLS_KINDS
from benchmarks.plan import Plan
from benchmarks.processes import resident_bytes
from benchmarks.report import Section, Target
from benchmarks.waiting import percentile, row, waits

COMPARED = """\
As under *Waiting*, while another process holds so many hostile connections of one kind at once, from a trusted address:
what limits callers that are not trusted does not bind them. Attacker, prober and registry share the machine's cores;
the attacker yields to the others, as one on another machine would, and still a part of the wait is its own. Memory is
the registry's, resident, before and at the end. All nodes send a heartbeat every three seconds, in batches, and would
be in warning after ten without one: *changed* counts those whose status did change. Over TLS, with an RSA key of 2,048
bits and TLS 1.3, the same nodes send heartbeats to the same store. The time is divided into fifths: *p99 of a fifth* is
the median of theirs, and what is promised, since a machine that others use as well stands still at times."""
PARTS = 5
SETTLE_SECONDS = 2
SETTLE_TRIES = 10
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
    with contenders.registry(directory, store=STORE, environment=IMPATIENT) as registry:
        population.register(registry.port, plan.attack_nodes)
        found = list(_attacked(registry, "no attack", HTTP_KINDS, plan))
    config = _web_config(directory)
    with contenders.registry(directory, store=STORE, environment=IMPATIENT, web_config=config) as registry:
        found += _attacked(registry, "no attack, over TLS", TLS_KINDS, plan)
    rows = [cells for cells, _, _ in found]
    worst, changed = max(wait for _, wait, _ in found), sum(changed for _, _, changed in found)
    targets = [
        Target("99 % of heartbeats under attack answered within", 50, 1000 * worst, "ms", at_most=True),
        Target("nodes whose status changed under attack", 0, changed, "", at_most=True),
    ]
    heads = ("heartbeat's answer", "p50", "p99", "max", "p99 of a fifth", "memory", "changed")
    return Section("Under attack", COMPARED, heads, rows, targets)


def _attacked(
    registry: Process, unattacked: str, kinds: Iterable[str], plan: Plan
) -> Iterator[tuple[tuple[str, ...], float, int]]:
    """A row, what 99 % of the waits are within, and how many nodes changed: without attack, then for each kind."""
    client.scrape(registry.port, gzip=False, secured=registry.secured)
    with _heartbeats(registry, plan.attack_nodes):
        waited, _ = waits(registry, plan.attack_seconds, scraping=False)
        yield (*row(unattacked, waited), _written(waited), "", ""), _typical(waited), 0
        for kind in kinds:
            before, changes = resident_bytes(registry.pid), _changes(registry)
            argv = [sys.executable, "-m", "benchmarks.peers.attacker", kind, str(registry.port)]
            seconds = plan.attack_seconds + SETTLE_SECONDS
            with subprocess.Popen(
                [*argv, str(plan.attack_connections), str(seconds)], start_new_session=True
            ) as attacker:
                time.sleep(SETTLE_SECONDS)
                waited, _ = waits(registry, plan.attack_seconds, scraping=False)
                after = resident_bytes(registry.pid)
                attacker.wait()
            changed = _changes(registry) - changes
            memory = f"{before / 2**20:.0f} → {after / 2**20:.0f} MiB"
            row_of_kind = row(f"{plan.attack_connections} {kind}", waited)
            yield (*row_of_kind, _written(waited), memory, f"{changed}"), _typical(waited), changed


def _typical(waited: list[float]) -> float:
    """The median of the 99th percentiles of each fifth of the time."""
    size = len(waited) // PARTS
    return statistics.median(percentile(waited[part * size : (part + 1) * size], 99) for part in range(PARTS))


def _written(waited: list[float]) -> str:
    return f"{1000 * _typical(waited):.2f} ms"


def _web_config(directory: Path) -> Path:
    """TLS with an RSA key, whose signatures cost the most."""
    certificate = trustme.CA().issue_cert("127.0.0.1", key_type=trustme.KeyType.RSA)
    certificate.cert_chain_pems[0].write_to_path(directory / "cert.pem")
    certificate.private_key_pem.write_to_path(directory / "key.pem")
    path = directory / "web-config.yml"
    path.write_text("tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n")
    return path


def _changes(registry: Process) -> int:
    """Nodes that were in warning at any time; asked again while what the attack asked for is still worked off."""
    for _ in range(SETTLE_TRIES):
        with contextlib.suppress(client.Refused):
            scrape = client.scrape(registry.port, gzip=False, query=QUERY, secured=registry.secured)
            return len(CHANGES.findall(scrape.body))
        time.sleep(1)
    raise TimeoutError("the registry refuses every scrape after an attack")


@contextlib.contextmanager
def _heartbeats(registry: Process, nodes: int) -> Iterator[None]:
    """Of all nodes, until it is left."""
    ended = threading.Event()

    def send() -> None:
        while not ended.wait(INTERVAL_SECONDS):
            population.heartbeat_all(registry.port, nodes, secured=registry.secured)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
