"""How long a heartbeat waits while hostile connections do what they can."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from benchmarks import client, contenders, mesh
from benchmarks.peers.attacker import KINDS
from benchmarks.plan import Plan
from benchmarks.processes import resident_bytes
from benchmarks.report import Section, Target
from benchmarks.waiting import percentile, row, waits

COMPARED = """\
As under *Waiting*, while another process holds so many hostile connections of one kind at once, from a trusted address:
what limits callers that are not trusted does not bind them. Attacker, prober and registry share the machine's cores, so
a part of the wait is theirs. Memory is the registry's, resident, before and at the end."""
SETTLE_SECONDS = 2


def measure(plan: Plan, directory: Path) -> Section:
    """Waits for each kind of attack, with the memory that it took."""
    rows, worst = [], 0.0
    with contenders.registry(directory) as registry:
        mesh.register(registry.port, plan.attack_nodes)
        client.scrape(registry.port, gzip=False)
        baseline, _ = waits(registry, plan.attack_seconds, scraping=False)
        rows.append((*row("no attack", baseline), ""))
        for kind in KINDS:
            before = resident_bytes(registry.pid)
            argv = [sys.executable, "-m", "benchmarks.peers.attacker", kind, str(registry.port)]
            seconds = plan.attack_seconds + SETTLE_SECONDS
            with subprocess.Popen([*argv, str(plan.attack_connections), str(seconds)]) as attacker:
                time.sleep(SETTLE_SECONDS)
                waited, _ = waits(registry, plan.attack_seconds, scraping=False)
                after = resident_bytes(registry.pid)
                attacker.wait()
            worst = max(worst, percentile(waited, 99))
            memory = f"{before / 2**20:.0f} → {after / 2**20:.0f} MiB"
            rows.append((*row(f"{plan.attack_connections} {kind}", waited), memory))
    target = Target("99 % of heartbeats under attack answered within", 50, 1000 * worst, "ms", at_most=True)
    heads = ("heartbeat's answer", "p50", "p99", "max", "memory")
    return Section("Under attack", COMPARED, heads, rows, [target])
