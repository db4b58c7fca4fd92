"""Heartbeats over the bus, beside a loop that reads and decodes them and does nothing else."""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks import client, contenders
from benchmarks.contenders import Process
from benchmarks.plan import Plan
from benchmarks.processes import cpu_seconds
from benchmarks.report import Section, Target

COMPARED = """\
A process publishes the seed's heartbeats of 1,000 nodes as fast as Redis takes them, in pipelines of 1,000; Redis drops
nothing. The registry is done when `aurora_registry_heartbeats_total` has them all (asked every 50 ms, which it pays
for); the bare loop is redis-py's synchronous `listen()` with hiredis in a process of its own, which decodes the same
JSON by msgspec and forgets it. Medians of the rounds. Publisher, Redis and consumer share the cores, so the
promise is held by events per second of the consumer's own CPU time, which is the fairer of the two."""
CHANNEL = "aurora:events:global"
POLL_SECONDS = 0.05
GIVE_UP_SECONDS = 300
_COUNT = re.compile(r'^aurora_registry_heartbeats_total{transport="bus"} (\S+)$', re.MULTILINE)


class Lost(Exception):
    """Not all events arrived."""


@dataclass(frozen=True, slots=True)
class _Taken:
    """How long a consumer took for the events."""

    wall: float
    cpu: float


def measure(plan: Plan, directory: Path) -> Section:
    """Events a second of each."""
    with contenders.redis(directory) as redis, contenders.registry(directory, bus_port=redis.port) as registry:
        _registry(registry, redis, 10_000)
        ours = [_registry(registry, redis, plan.bus_events) for _ in range(plan.bus_rounds)]
    # In its own Redis: what is published for the one would be delivered to the other as well.
    with contenders.redis(directory) as redis:
        bare = [_bare_loop(redis, plan.bus_events) for _ in range(plan.bus_rounds)]
    walls = [plan.bus_events / statistics.median(taken.wall for taken in each) for each in (ours, bare)]
    cpus = [plan.bus_events / statistics.median(taken.cpu for taken in each) for each in (ours, bare)]
    rows = [
        (label, f"{cpu:,.0f} ({cpu / cpus[1]:.0%})", f"{wall:,.0f} ({wall / walls[1]:.0%})")
        for label, cpu, wall in zip(("registry", "bare listen() loop"), cpus, walls, strict=True)
    ]
    target = Target("heartbeats over the bus, of the bare loop's, by CPU time", 80, 100 * cpus[0] / cpus[1], "%")
    header = ("events taken in", "per CPU second", "per second")
    return Section("Heartbeats over Redis Pub/Sub", COMPARED, header, rows, [target])


def _registry(registry: Process, redis: Process, events: int) -> _Taken:
    wanted = _count(registry) + events
    began, cpu = time.perf_counter(), cpu_seconds(registry.pid)
    publisher = _start("publisher", redis.port, events)
    try:
        while _count(registry) < wanted:
            if time.perf_counter() - began > GIVE_UP_SECONDS:
                raise Lost(f"{wanted - _count(registry):,.0f} of {events:,} events are missing")
            time.sleep(POLL_SECONDS)
        return _Taken(time.perf_counter() - began, cpu_seconds(registry.pid) - cpu)
    finally:
        publisher.communicate()


def _count(registry: Process) -> float:
    text = client.scrape(registry.port, gzip=False, query="?name[]=aurora_registry_heartbeats_total").body.decode()
    count = _COUNT.search(text)
    return float(count[1]) if count else 0


def _bare_loop(redis: Process, events: int) -> _Taken:
    listener = _start("bare_listener", redis.port, events)
    assert listener.stdout is not None
    listener.stdout.readline()
    began = time.perf_counter()
    publisher = _start("publisher", redis.port, events)
    cpu, _ = listener.communicate(timeout=GIVE_UP_SECONDS)
    wall = time.perf_counter() - began
    publisher.communicate()
    return _Taken(wall, float(cpu))


def _start(peer: str, port: int, events: int) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", f"benchmarks.peers.{peer}", str(port), CHANNEL, str(events)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
