"""Trigger a failover when a node goes offline: follow the registry's events, and act on a transition.

    python examples/failover.py http://127.0.0.1:9999

Replace `fail_over` by what your mesh needs. Only the standard library and the registry's own client are used.
"""

from __future__ import annotations

import sys

from exporter.client.client import Client


def successor(client: Client, role: str, gone: str) -> str | None:
    """An active node in service of the same role, the one that registered first."""
    for name, node in client.nodes(role=role, status="active").items():
        if name != gone and node.lifecycle == "in_service":
            return name
    return None


def fail_over(gone: str, role: str, to: str | None) -> None:
    """Say what would be done."""
    print(f"{gone} ({role}) is offline: " + (f"{to} takes over" if to else "nobody can take over"), flush=True)


def main(registry: str) -> None:
    """Follow the events without end; a stream that breaks off is taken up again behind the last event."""
    client = Client(registry)
    for event in client.events():
        if event.type == "node_status_changed" and event.data["to"] == "offline":
            name, role = event.data["node"], event.data["role"]
            # Planned work is no failure, and while the registry cannot receive, nobody is known to be gone.
            if event.data["lifecycle"] == "in_service" and not event.data.get("held"):
                fail_over(name, role, successor(client, role, name))


if __name__ == "__main__":
    main(*sys.argv[1:2] or ["http://127.0.0.1:9999"])
