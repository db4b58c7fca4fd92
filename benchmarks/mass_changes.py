"""All nodes go missing at once, and all are back at once."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import client, contenders, population
from benchmarks.contenders import Process
from benchmarks.over_bus import CHANNEL
from benchmarks.plan import Plan
from benchmarks.processes import cpu_seconds, running
from benchmarks.report import Section, Target
from demo.ports import free_port

COMPARED = """\
Every node sends a heartbeat over the bus, as fast as Redis takes them, and then none until all are warning (outage);
then every node sends one again (recovery). Registries run as one starts them, log included, and are scraped every 15 s
as Prometheus does; bus, store, registries and the counting subscriber share the cores. *Longest stall* is
`aurora_registry_event_loop_lag_seconds` at the end, which looks back a minute; nothing else happened in it. Times are
from the last node's threshold, or from the first heartbeat of the recovery, until every node's status is in `/stats` of
all registries and nothing waits for the store (recorded), and until a subscriber has each node's event (published).
With three registries, each is the worst of them. CPU time is a registry's own, the wait beforehand included."""
SCRAPE_EVERY = 15.0
POLL_SECONDS = 0.25
GIVE_UP_SECONDS = 120.0
SETTLED_SECONDS = 62.0
"""The lag is the longest of the last minute."""
_SAMPLE = re.compile(r"^(\S+?)(?:{[^}]*})? (\S+)$", re.MULTILINE)
LAG, WAITING, BLIND = (
    f"aurora_registry_{name}" for name in ("event_loop_lag_seconds", "store_queue_length", "blind_seconds_total")
)


@dataclass(frozen=True, slots=True)
class _Change:
    """What a mass change cost; `events`: how many were published, `nodes`: of how many nodes."""

    lag: float
    recorded: float
    published: float
    blind: float
    events: int
    nodes: int
    cpu: float
    """Of the busiest registry, seconds."""


def measure(plan: Plan, directory: Path) -> Section:
    """Outage and recovery over each store, and with three registries."""
    rows, targets = [], []
    for label, kind, count in (("SQLite", "sqlite", 1), ("Redis", "redis", 1), ("Redis, 3 registries", "redis", 3)):
        within = directory / f"{kind}-{count}"
        within.mkdir()
        changes = _play(plan, within, kind, count)
        for name, change in changes.items():
            rows.append(_row(f"{label}: {name}", change, plan.mass_nodes))
        worst = [max(getattr(change, what) for change in changes.values()) for what in ("lag", "recorded", "published")]
        targets += [
            Target(f"mass change, {label}: longest stall", 50, 1000 * worst[0], "ms", at_most=True),
            Target(f"mass change, {label}: recorded within", 10, worst[1], "s", at_most=True),
            Target(f"mass change, {label}: published within", 15, worst[2], "s", at_most=True),
        ]
    header = (
        f"{plan.mass_nodes:,} nodes",
        "longest stall",
        "recorded",
        "published",
        "CPU time",
        "events, nodes",
        "blind",
    )
    return Section("Mass changes", COMPARED, header, rows, targets)


def _row(label: str, change: _Change, nodes: int) -> tuple[str, ...]:
    counts = "each once" if change.events == change.nodes == nodes else f"**{change.events:,}, {change.nodes:,}**"
    figures = (
        f"{1000 * change.lag:.0f} ms",
        f"{change.recorded:.1f} s",
        f"{change.published:.1f} s",
        f"{change.cpu:.1f} s",
    )
    return (label, *figures, counts, f"{change.blind:.1f} s")


def _play(plan: Plan, directory: Path, kind: str, count: int) -> dict[str, _Change]:
    with contenders.redis(directory) as redis, contextlib.ExitStack() as stack:
        store = f"redis://127.0.0.1:{redis.port}/0" if kind == "redis" else f"sqlite:///{directory}/mass.db"
        registries = [stack.enter_context(_registry(directory, store, redis, plan)) for _ in range(count)]
        population.register(registries[0].port, plan.mass_nodes)
        _wait(registries, plan.mass_nodes, "active")
        sent = _publish(redis, plan.mass_nodes)[1]
        time.sleep(max(0.0, sent + min(SETTLED_SECONDS, plan.mass_warning_after - 2) - time.time()))
        outage = _change(plan, redis, registries, "warning", began=lambda: sent + plan.mass_warning_after)
        time.sleep(SETTLED_SECONDS if plan.mass_warning_after > SETTLED_SECONDS else 1)
        recovery = _change(plan, redis, registries, "active", began=lambda: _publish(redis, plan.mass_nodes)[0])
        return {"outage": outage, "recovery": recovery}


@contextlib.contextmanager
def _registry(directory: Path, store: str, redis: Process, plan: Plan) -> Iterator[Process]:
    port = free_port()
    argv = [
        *(sys.executable, "-m", "exporter.programs.registry", f"--store={store}"),
        *(f"--event-bus=redis://127.0.0.1:{redis.port}/0", f"--web.listen-address=127.0.0.1:{port}"),
    ]
    thresholds = {
        "AURORA_THRESHOLDS_WARNING_AFTER": f"{plan.mass_warning_after}s",
        "AURORA_THRESHOLDS_OFFLINE_AFTER": "1h",
    }
    with running(argv, port=port, directory=directory, environment=thresholds) as pid:
        client.wait_until_ready(port)
        yield Process("registry", port, pid)


def _publish(redis: Process, nodes: int) -> tuple[float, float]:
    """One heartbeat of every node; when the first and the last was sent."""
    began = time.time()
    argv = [sys.executable, "-m", "benchmarks.peers.publisher", str(redis.port), CHANNEL, str(nodes), str(nodes)]
    subprocess.run(argv, check=True)
    return began, time.time()


def _change(plan: Plan, redis: Process, registries: list[Process], status: str, *, began: Any) -> _Change:
    blind = sum(_sample(each, BLIND) for each in registries)
    cpu = [cpu_seconds(each.pid) for each in registries]
    argv = [sys.executable, "-m", "benchmarks.peers.event_counter", str(redis.port), CHANNEL, status]
    argv += [str(plan.mass_nodes), str(GIVE_UP_SECONDS)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as counter:
        assert counter.stdout is not None
        counter.stdout.readline()
        began_at = began()
        recorded_at = _wait(registries, plan.mass_nodes, status)
        seen = json.loads(counter.communicate()[0])
    return _Change(
        lag=max(_sample(each, LAG) for each in registries),
        recorded=recorded_at - began_at,
        published=seen["latest"] - began_at,
        blind=sum(_sample(each, BLIND) for each in registries) - blind,
        events=seen["events"],
        nodes=seen["nodes"],
        cpu=max(cpu_seconds(each.pid) - before for each, before in zip(registries, cpu, strict=True)),
    )


def _wait(registries: list[Process], nodes: int, status: str) -> float:
    """Until every registry has all nodes in this status, and nothing waits for its store; when."""
    give_up, scrape = time.time() + GIVE_UP_SECONDS, time.time()
    waiting = list(registries)
    while waiting and time.time() < give_up:
        time.sleep(POLL_SECONDS)
        waiting = [each for each in waiting if _stats(each)[f"{status}_nodes"] < nodes or _sample(each, WAITING)]
        if time.time() >= scrape:
            scrape += SCRAPE_EVERY
            for each in registries:
                client.scrape(each.port, gzip=True)
    return time.time()


def _stats(registry: Process) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{registry.port}/stats", timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def _sample(registry: Process, name: str) -> float:
    text = client.scrape(registry.port, gzip=False, query=f"?name[]={name}").body.decode()
    return sum(float(value) for found, value in _SAMPLE.findall(text) if found == name)
