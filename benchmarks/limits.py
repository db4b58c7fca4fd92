"""What the limits of a connection cost: heartbeats and scrapes beside uvicorn's own protocol."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from pathlib import Path

from benchmarks import client, contenders, population
from benchmarks.contenders import Process
from benchmarks.plan import Plan
from benchmarks.processes import cpu_seconds
from benchmarks.report import Section, Target

COMPARED = """\
The registry as it is, and the same on uvicorn's own HTTP protocol, without the limits on heads, waiting, slow readers,
connections and turns. Heartbeats with readings, one on each of 64 connections at once, and plain scrapes of all nodes.
The two have their turn after each other, of some ten milliseconds, so that whatever the machine does meanwhile happens
to both. Compared is the registry's own CPU time of all turns together."""
ROUNDS = 4
"""Heartbeats that a connection sends in a turn."""


def measure(plan: Plan, directory: Path) -> Section:
    """CPU time of a heartbeat and of a scrape, with and without."""
    with contextlib.ExitStack() as stack:
        both = [stack.enter_context(contenders.registry(directory, limits=limits)) for limits in (True, False)]
        for process in both:
            population.register(process.port, plan.limit_nodes)
            client.scrape(process.port, gzip=False)
        connections = [
            [stack.enter_context(client.connect(process.port)) for _ in range(client.CONNECTIONS)] for process in both
        ]
        beats = _in_turns(both, plan.limit_heartbeats, lambda turn: _send_heartbeats(connections[turn]))
        scrapes = _in_turns(both, plan.limit_scrapes, lambda turn: _scrape(both[turn]))
    rows, targets = [], []
    for label, factor, unit, (ours, bare) in (
        ("heartbeats", 1e6, "µs", beats),
        (f"scrapes of {plan.limit_nodes:,} nodes", 1e3, "ms", scrapes),
    ):
        price = 100 * (ours / bare - 1)
        rows.append((label, f"{ours * factor:.2f} {unit}", f"{bare * factor:.2f} {unit}", f"{price:+.1f}%"))
        targets.append(Target(f"the limits' price for {label}", 3, price, "%", at_most=True))
    return Section("Limits", COMPARED, ("CPU time of one", "with limits", "without", "price"), rows, targets)


def _in_turns(both: list[Process], turns: int, play: Callable[[int], int]) -> list[float]:
    """CPU seconds that one costs each of both; `play` plays a turn of one of them, and says how many it had."""
    used, count = [0.0, 0.0], [0, 0]
    for number in range(turns):
        # Who comes first changes: neither comes always behind the other.
        for turn in (0, 1) if number % 2 else (1, 0):
            before = cpu_seconds(both[turn].pid)
            count[turn] += play(turn)
            used[turn] += cpu_seconds(both[turn].pid) - before
    return [seconds / number for seconds, number in zip(used, count, strict=True)]


def _send_heartbeats(connections: list[socket.socket]) -> int:
    for _ in range(ROUNDS):
        for number, connection in enumerate(connections):
            path = f"/nodes/{population.name(number)}/heartbeat"
            connection.sendall(client.request("POST", path, population.full_heartbeat(number)))
        for connection in connections:
            answer = connection.recv(4096)
            if not answer.startswith(b"HTTP/1.1 204"):
                raise client.Refused(answer.decode())
    return ROUNDS * len(connections)


def _scrape(process: Process) -> int:
    client.scrape(process.port, gzip=False)
    return 1
