"""The nodes that everything is measured with: the seed's kind, one lead and GPU nodes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import msgspec

from benchmarks import client
from exporter.programs.simulator.hardware import RTX_4090
from exporter.programs.simulator.load import reading
from exporter.programs.simulator.population import Member, Site, SiteKind

SITES = 100
BATCH = 1_000
"""Heartbeats in one request."""
HEARTBEAT = b'{"status":"active"}'
_BOX = Member("node-000000", Site("site-000", SiteKind.RENTED), "compute", "10.0.0.0", model=RTX_4090, gpus=2)
"""Not a whole population: the nodes are all alike, so that figures of different sizes can be compared."""


def full_heartbeat(sequence: int) -> bytes:
    """A heartbeat with the sender's clock, a sequence number and a GPU's readings, as an agent sends it."""
    gpu = reading(_BOX, 0, sequence / 120, seed=1)
    said = {"status": "active", "timestamp": round(time.time(), 3), "sequence": sequence, "gpus": [gpu]}
    return msgspec.json.encode(said)


def name(index: int) -> str:
    """The node's name."""
    return f"node-{index:06d}"


def registration(index: int) -> dict[str, Any]:
    """What the node registers with: capabilities with GPUs, metadata with three keys."""
    return {
        "name": name(index),
        "role": "compute" if index else "lead",
        "vpn_ip": f"10.{index >> 16}.{index >> 8 & 255}.{index & 255}",
        "public_ip": "dynamic",
        "capabilities": _BOX.registration()["capabilities"],
        "metadata": {"os": "ubuntu", "docker_version": "24.0.7", "site": f"site-{index % SITES:03d}"},
    }


def register(port: int, nodes: int) -> None:
    """Register them all with the registry, one request each."""
    bodies = (json.dumps(registration(index)).encode() for index in range(nodes))
    client.send_all(port, (client.request("POST", "/nodes/register", body) for body in bodies))


def heartbeat_all(port: int, nodes: int, body: bytes = HEARTBEAT, *, secured: bool = False) -> None:
    """One heartbeat of each node, many in a request."""
    client.send_all(port, _batches(nodes, body), connections=1, secured=secured)


def _batches(nodes: int, body: bytes) -> Iterator[bytes]:
    step = BATCH * len(HEARTBEAT) // len(body)
    for start in range(0, nodes, step):
        lines = [b'{"node":"%b",' % name(index).encode() + body[1:] for index in range(start, min(nodes, start + step))]
        yield client.request("POST", "/heartbeats", b"\n".join(lines), "application/x-ndjson")


def event(index: int) -> bytes:
    """The node's heartbeat as it goes over the bus, the seed's own."""
    data = {"node": name(index), "role": "compute", "status": "active"}
    return json.dumps({"type": "node_heartbeat", "source_node": name(index), "data": data}).encode()
