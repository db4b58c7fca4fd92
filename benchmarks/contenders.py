"""The registry and its peers, each started as one would start it."""

from __future__ import annotations

import contextlib
import gzip
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks import client, population
from benchmarks.exposition import about_nodes, pushes
from benchmarks.processes import running
from demo.ports import free_port
from demo.servers import newest

PATIENT = {"AURORA_THRESHOLDS_WARNING_AFTER": "2h", "AURORA_THRESHOLDS_OFFLINE_AFTER": "5h"}
"""A peer may take minutes for its turn; nodes that go missing meanwhile would be another measurement."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process that serves HTTP on a port of the loopback interface."""

    label: str
    port: int
    pid: int
    secured: bool = False
    """Over TLS."""


@contextlib.contextmanager
def registry(
    directory: Path,
    *,
    bus_port: int = 0,
    limits: bool = True,
    store: str = "memory:",
    web_config: Path | None = None,
    environment: Mapping[str, str] = PATIENT,
) -> Iterator[Process]:
    """The registry; with a bus if there is a Redis for it, over TLS if its `web_config` says so; without the limits of
    connections.
    """  # noqa: D205 - one sentence
    port = free_port()
    argv = [
        *(sys.executable, "-m", "exporter.programs.registry" if limits else "benchmarks.peers.registry_without_limits"),
        *(f"--store={store}", f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"),
        *([f"--event-bus=redis://127.0.0.1:{bus_port}/0"] if bus_port else []),
        *([f"--web.config.file={web_config}"] if web_config else []),
    ]
    secured = web_config is not None
    with running(argv, port=port, directory=directory, environment=environment) as pid:
        client.wait_until_ready(port, secured=secured)
        yield Process("registry", port, pid, secured)


@contextlib.contextmanager
def prometheus_client(directory: Path, lines: list[str]) -> Iterator[Process]:
    """A process that holds the series as prometheus-client's gauges."""
    port, source = free_port(), directory / "series.txt"
    source.write_text("\n".join(lines) + "\n")
    argv = [sys.executable, "-m", "benchmarks.peers.prometheus_client_app", str(port), str(source)]
    with running(argv, port=port, directory=directory) as pid:
        yield Process("prometheus-client", port, pid)


@contextlib.contextmanager
def pushgateway(directory: Path, lines: list[str] | None = None) -> Iterator[Process]:
    """A Pushgateway; with these series, it does without its check of each push, so that it is filled in seconds."""
    port = free_port()
    argv = [
        newest("prometheus-pushgateway"),
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
        "--persistence.file=",
    ]
    if lines:
        argv.append("--push.disable-consistency-check")
    with running(argv, port=port, directory=directory) as pid:
        for number, body in pushes(lines or []).items():
            push = client.request("PUT", f"/metrics/job/aurora/instance/{number}", body, "text/plain")
            client.send_all(port, [push], connections=1)
        yield Process("Pushgateway", port, pid)


@contextlib.contextmanager
def redis(directory: Path) -> Iterator[Process]:
    """A Redis that drops no subscriber, however far behind it is."""
    port = free_port()
    argv = [
        *("redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory)),
        *("--save", "", "--client-output-buffer-limit", "pubsub 0 0 0"),
    ]
    with running(argv, port=port, directory=directory) as pid:
        yield Process("redis", port, pid)


@contextlib.contextmanager
def bare_http(directory: Path, kind: str) -> Iterator[Process]:
    """An HTTP server that reads the same heartbeats and does nothing with them; `kind`: `starlette` or `asgi`."""
    port = free_port()
    argv = [sys.executable, "-m", "benchmarks.peers.bare_http", str(port), kind]
    with running(argv, port=port, directory=directory) as pid:
        yield Process({"starlette": "bare Starlette", "asgi": "bare ASGI callable"}[kind], port, pid)


@contextlib.contextmanager
def same_series(directory: Path, nodes: int) -> Iterator[tuple[Process, Process, Process]]:
    """The registry with so many nodes, and prometheus-client and a Pushgateway with its series."""
    with registry(directory) as ours:
        population.register(ours.port, nodes)
        lines = about_nodes(gzip.decompress(client.scrape(ours.port, gzip=True).body).decode())
        with prometheus_client(directory, lines) as python, pushgateway(directory, lines) as go:
            yield ours, python, go
