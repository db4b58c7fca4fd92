"""What a node costs in resident memory."""

from __future__ import annotations

from pathlib import Path

from benchmarks import client, contenders
from benchmarks.contenders import Process
from benchmarks.plan import Plan
from benchmarks.processes import resident_bytes
from benchmarks.report import Section, Target

COMPARED = """\
Resident memory by /proc, after gzip scrapes: with all nodes (capabilities with GPUs, metadata with three keys), and
empty; the difference, divided by the nodes, is a node's. The registry holds once what nodes state alike, and these
state much alike, as those of one fleet do: only names, addresses and 100 sites differ. The peers hold the same series,
and only those: not what the registry answers over REST. Each is scraped twice, always with gzip, as Prometheus does."""
KB = 1000


def measure(plan: Plan, directory: Path) -> Section:
    """Each of the three, empty and full."""
    with contenders.same_series(directory, 0) as processes:
        empty = [_settled(process) for process in processes]
    with contenders.same_series(directory, plan.memory_nodes) as processes:
        full = [_settled(process) for process in processes]
    each = [(high - low) / plan.memory_nodes / KB for low, high in zip(empty, full, strict=True)]
    rows = [
        (process.label, _megabytes(low), _megabytes(high), f"{node:.2f} KB")
        for process, low, high, node in zip(processes, empty, full, each, strict=True)
    ]
    target = Target("resident memory a node", 2.5, each[0], "KB", at_most=True)
    header = ("resident memory", "empty", f"{plan.memory_nodes:,} nodes", "a node")
    return Section("Memory", COMPARED, header, rows, [target])


def _settled(process: Process) -> int:
    for _ in range(2):
        client.scrape(process.port, gzip=True)
    return resident_bytes(process.pid)


def _megabytes(size: int) -> str:
    return f"{size / KB**2:,.0f} MB"
