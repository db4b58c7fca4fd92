"""Scrapes of many nodes, beside prometheus-client and a Pushgateway with the same series."""

from __future__ import annotations

import gzip
import statistics
from collections.abc import Callable
from pathlib import Path

from benchmarks import client, contenders, population
from benchmarks.contenders import Process
from benchmarks.exposition import about_nodes
from benchmarks.plan import Plan
from benchmarks.report import Section, Target

COMPARED = """\
GET /metrics from connecting to the last byte; medians, each contender in turn, one client for all. The registry is a
real process over `memory:`, filled over REST; before each of its scrapes every node sends a heartbeat, so that all ages
and times are new. prometheus-client holds the very same series (copied from the registry's own exposition) as labelled
gauges and is served by its own `start_http_server`; the Pushgateway holds them as pushes of 1,000 nodes each (it adds
two labels of its own to every series). In brackets: how many times as long as the registry's. Below each size, the
registry alone: nothing received since the last scrape; 100 nodes drained or back in service since; and every node's
heartbeat with the sender's clock, a sequence number and a GPU's readings, whose series come on top."""
CHANGED = 100


def measure(plan: Plan, directory: Path) -> Section:
    """Scrape at each size; the promises are about the largest."""
    rows: list[tuple[str, ...]] = []
    targets: tuple[Target, ...] = ()
    for nodes in plan.scrape_nodes:
        with contenders.same_series(directory, nodes) as processes:
            series = _check_same(processes)
            medians = {gzip: _side_by_side(processes, nodes, plan, gzip=gzip) for gzip in (False, True)}
            for gzip, (ours, python, go) in medians.items():
                label = f"{nodes:,} nodes, {series:,} series, {'gzip' if gzip else 'plain'}"
                rows.append(
                    (label, _ms(ours), f"{_ms(python)} ({python / ours:.0f}x)", f"{_ms(go)} ({go / ours:.1f}x)")
                )
            rows += _registry_alone(processes[0], nodes, plan.rounds)
        ours, python, go = medians[True]
        targets = (
            Target(f"scrape of {nodes:,} nodes, gzip, faster than prometheus-client", 100, python / ours, "times"),
            Target(f"scrape of {nodes:,} nodes, gzip, faster than Pushgateway", 20, go / ours, "times"),
        )
    return Section("Scrape", COMPARED, ("scrape", "registry", "prometheus-client", "Pushgateway"), rows, targets)


def _check_same(processes: tuple[Process, ...]) -> int:
    """How many series about nodes each of them exposes, once it is sure that they are equally many."""
    counts = [
        len(about_nodes(gzip.decompress(client.scrape(process.port, gzip=True).body).decode())) for process in processes
    ]
    if len(set(counts)) != 1:
        raise AssertionError(f"expected the same series everywhere, got {counts}")
    return counts[0]


def _side_by_side(processes: tuple[Process, ...], nodes: int, plan: Plan, *, gzip: bool) -> tuple[float, ...]:
    ours = processes[0]
    taken: list[list[float]] = [[] for _ in processes]
    for turn in range(plan.rounds):
        for process, times in zip(processes, taken, strict=True):
            if process is ours:
                population.heartbeat_all(ours.port, nodes)
            elif turn >= plan.slow_rounds:
                continue
            times.append(client.scrape(process.port, gzip=gzip).seconds)
    return tuple(statistics.median(times) for times in taken)


def _registry_alone(ours: Process, nodes: int, rounds: int) -> list[tuple[str, ...]]:
    sequence = iter(range(1, rounds + 2))

    def report() -> None:
        population.heartbeat_all(ours.port, nodes, population.full_heartbeat(next(sequence)))

    cases = (
        ("nothing received in between", lambda: None),
        (f"{CHANGED} changes in between", _changes(ours.port, nodes)),
        ("readings from every node in between", report),
    )
    return [(f"— {label}, gzip", _ms(_median(ours.port, change, rounds)), "", "") for label, change in cases]


def _changes(port: int, nodes: int) -> Callable[[], None]:
    drained = [population.name(index) for index in range(0, nodes, max(1, nodes // CHANGED))][:CHANGED]
    methods = iter(["PUT", "DELETE"] * 1000)

    def change() -> None:
        method = next(methods)
        client.send_all(port, [client.request(method, f"/nodes/{name}/drain") for name in drained])

    return change


def _median(port: int, before: Callable[[], None], rounds: int) -> float:
    before()
    client.scrape(port, gzip=True)
    times = []
    for _ in range(rounds):
        before()
        times.append(client.scrape(port, gzip=True).seconds)
    return statistics.median(times)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:,.1f} ms" if seconds < 1 else f"{seconds:,.2f} s"
