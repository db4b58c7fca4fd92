"""Heartbeats over HTTP, one request each, beside servers that do nothing with them."""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks import client, contenders, population
from benchmarks.contenders import Process
from benchmarks.exposition import about_nodes
from benchmarks.plan import Plan
from benchmarks.report import Section, Target

COMPARED = """\
`wrk -t1 -c64`, one POST /nodes/NAME/heartbeat a request, 1,000 nodes in turn; medians of the rounds, each contender in
turn. The body is `{"status":"active"}`; *with readings* it has the sender's clock, a sequence number and a GPU's
readings. Bare Starlette is one route that decodes the JSON and answers 204, on uvicorn with uvloop and httptools as the
registry is; the bare ASGI callable does the same without Starlette: the most that the server allows. Neither looks at
media type, name, caller or at what it decoded, or counts anything. The Pushgateway is pushed what it needs for the same
news: PUT of all of one node's series, a group a node. In brackets: of bare Starlette's rate."""
LUA = Path(__file__).with_name("heartbeats.lua")


class Failures(Exception):
    """wrk saw answers that were no success."""


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk sends: `path` and the file's body with NODE for each node's name in turn."""

    method: str
    media_type: str
    path: str
    body: Path
    nodes: int


def measure(plan: Plan, directory: Path) -> Section:
    """Requests a second of each."""
    plain, readings, push = (directory / name for name in ("plain.json", "readings.json", "push.txt"))
    plain.write_bytes(population.HEARTBEAT)
    readings.write_bytes(population.full_heartbeat(1))
    beats = [
        Load("POST", "application/json", "/nodes/NODE/heartbeat", body, plan.http_nodes) for body in (plain, readings)
    ]
    pushes = Load("PUT", "text/plain", "/metrics/job/aurora/instance/NODE", push, plan.pushgateway_groups)
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(contenders.registry(directory))
        population.register(ours.port, plan.http_nodes)
        push.write_bytes(_series_of_one(ours))
        starlette = stack.enter_context(contenders.bare_http(directory, "starlette"))
        asgi = stack.enter_context(contenders.bare_http(directory, "asgi"))
        gateway = stack.enter_context(contenders.pushgateway(directory))
        _fill(gateway, pushes)
        runs = [(process, load) for process in (ours, starlette, asgi) for load in beats] + [(gateway, pushes)]
        rounds = [[rate(process, load, plan.http_seconds) for process, load in runs] for _ in range(plan.http_rounds)]
    rates = [statistics.median(column) for column in zip(*rounds, strict=True)]
    bare = rates[2:4]
    rows = [
        (process.label, _cell(rates[2 * index], bare[0]), _cell(rates[2 * index + 1], bare[1]))
        for index, process in enumerate((ours, starlette, asgi))
    ]
    rows.append((f"{gateway.label}, {plan.pushgateway_groups:,} groups", "", _cell(rates[-1], bare[1])))
    target = Target("heartbeats over HTTP, of bare Starlette's", 70, 100 * rates[0] / bare[0], "%")
    header = ("heartbeats a second over HTTP", "status alone", "with readings")
    return Section("Heartbeats over HTTP", COMPARED, header, rows, [target])


def _cell(rate: float, bare: float) -> str:
    return f"{rate:,.0f} ({rate / bare:.1%})"


def _series_of_one(ours: Process) -> bytes:
    first = population.name(0)
    lines = about_nodes(client.scrape(ours.port, gzip=False).body.decode())
    own = [line.replace(first, "NODE") for line in lines if f'node="{first}"' in line]
    return ("\n".join(own) + "\n").encode()


def _fill(gateway: Process, load: Load) -> None:
    path, body = load.path, load.body.read_text()
    names = [population.name(index) for index in range(load.nodes)]
    requests = (
        client.request(load.method, path.replace("NODE", name), body.replace("NODE", name).encode(), load.media_type)
        for name in names
    )
    client.send_all(gateway.port, requests, connections=4)


def rate(process: Process, load: Load, seconds: int) -> float:
    """Requests a second, by wrk; raises Failures."""
    said = subprocess.run(
        [
            *(
                "wrk",
                "-t1",
                "-c64",
                "--timeout",
                "60s",
                f"-d{seconds}s",
                "-s",
                str(LUA),
                f"http://127.0.0.1:{process.port}",
                "--",
            ),
            *(load.method, load.media_type, load.path, str(load.body), str(load.nodes)),
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    result = json.loads(said.splitlines()[-1])
    if result["failed"] or not result["requests"]:
        raise Failures(f"{process.label}: {said}")
    per_second: float = result["requests"] / result["seconds"]
    return per_second
