"""What the limits of a connection cost: heartbeats and scrapes beside uvicorn's own protocol."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable
from pathlib import Path

from benchmarks import client, contenders, population
from benchmarks.contenders import Process
from benchmarks.over_http import Load, rate
from benchmarks.plan import Plan
from benchmarks.processes import cpu_seconds
from benchmarks.report import Section, Target

COMPARED = """\
The registry as it is, and the same on uvicorn's own HTTP protocol, without the limits on heads, waiting, slow readers,
connections and turns. Heartbeats by wrk as under *Heartbeats over HTTP*, with readings, and plain scrapes of all nodes;
medians of the rounds, each contender in turn. Compared is the registry's own CPU time, which the machine's other work
disturbs least."""


def measure(plan: Plan, directory: Path) -> Section:
    """CPU time of a heartbeat and of a scrape, with and without."""
    body = directory / "readings.json"
    body.write_bytes(population.full_heartbeat(1))
    load = Load("POST", "application/json", "/nodes/NODE/heartbeat", body, plan.http_nodes)
    with contextlib.ExitStack() as stack:
        both = [stack.enter_context(contenders.registry(directory, limits=limits)) for limits in (True, False)]
        for process in both:
            population.register(process.port, plan.limit_nodes)
            client.scrape(process.port, gzip=False)
        beats, scrapes = [], []
        for number in range(plan.limit_rounds):
            # Who comes first changes: what the machine does meanwhile favours neither.
            turns = (0, 1) if number % 2 else (1, 0)
            beats.append(_in_turns(turns, lambda turn: _of_heartbeats(both[turn], load, plan.limit_seconds)))
            scrapes.append(_in_turns(turns, lambda turn: _of_scrapes(both[turn], plan.limit_scrapes)))
    rows, targets = [], []
    for label, unit, rounds in (("heartbeats", 1e6, beats), (f"scrapes of {plan.limit_nodes:,} nodes", 1e3, scrapes)):
        ours, bare = (statistics.median(column) for column in zip(*rounds, strict=True))
        # Of neighbours in time, since what disturbs one disturbs the other.
        price = statistics.median(100 * (limited / free - 1) for limited, free in rounds)
        written = "µs" if label == "heartbeats" else "ms"
        rows.append((label, f"{ours * unit:.2f} {written}", f"{bare * unit:.2f} {written}", f"{price:+.1f}%"))
        targets.append(Target(f"the limits' price for {label}", 3, price, "%", at_most=True))
    return Section("Limits", COMPARED, ("CPU time of one", "with limits", "without", "price"), rows, targets)


def _in_turns(turns: tuple[int, int], of: Callable[[int], float]) -> list[float]:
    measured = {turn: of(turn) for turn in turns}
    return [measured[turn] for turn in sorted(measured)]


def _of_heartbeats(process: Process, load: Load, seconds: int) -> float:
    before = cpu_seconds(process.pid)
    requests = rate(process, load, seconds) * seconds
    return (cpu_seconds(process.pid) - before) / requests


def _of_scrapes(process: Process, count: int) -> float:
    before = cpu_seconds(process.pid)
    for _ in range(count):
        client.scrape(process.port, gzip=False)
    return (cpu_seconds(process.pid) - before) / count
