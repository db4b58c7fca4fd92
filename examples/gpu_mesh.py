"""A GPU mesh coordinator: its members are the active GPU nodes in service, as they come and go.

    python examples/gpu_mesh.py http://127.0.0.1:9999

Replace `join` and `leave` by what your mesh needs. Events make it prompt; a look at all nodes every half minute makes
it certain.
"""

from __future__ import annotations

import sys
import threading

from exporter.client.client import Client
from exporter.client.documents import Node

RESYNC_SECONDS = 30


def members(client: Client) -> dict[str, Node]:
    """The nodes that can take a job now."""
    nodes = client.nodes(gpu=True, status="active")
    return {name: node for name, node in nodes.items() if node.lifecycle == "in_service"}


def join(node: Node) -> None:
    """Say who joins."""
    print(f"{node.name} joins: {node.gpu_label}, {node.vram_gb:g} GB at {node.vpn_ip or 'no address'}", flush=True)


def leave(name: str) -> None:
    """Say who leaves."""
    print(f"{name} leaves", flush=True)


def follow(client: Client, changed: threading.Event) -> None:
    """Ring at each event about a GPU node, those that are missed meanwhile included."""
    for _ in client.events(gpu=True):
        changed.set()


def main(registry: str) -> None:
    """Keep the mesh up to date without end."""
    client, changed = Client(registry), threading.Event()
    threading.Thread(target=follow, args=(Client(registry), changed), daemon=True).start()
    known: dict[str, Node] = {}
    while True:
        now = members(client)
        for name in known.keys() - now.keys():
            leave(name)
        for name in now.keys() - known.keys():
            join(now[name])
        known = now
        changed.wait(RESYNC_SECONDS)
        changed.clear()


if __name__ == "__main__":
    main(*sys.argv[1:2] or ["http://127.0.0.1:9999"])
