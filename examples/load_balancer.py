"""A load balancer: connections go in turn to the active nodes of a role that are in service.

    python examples/load_balancer.py http://127.0.0.1:9999 compute 8000 8080

forwards what comes to port 8080 of this machine to port 8000 of the nodes. A node that refuses is passed over.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

from exporter.client.client import Client
from exporter.client.errors import Refused, Unreachable

REFRESH_SECONDS = 1.0
PIECE = 65_536


class Balancer:
    """Forwards connections to active nodes."""

    def __init__(self, registry: str, role: str, port: int) -> None:
        self._client = Client(registry)
        self._role = role
        self._port = port
        self._backends: list[str] = []
        self._next = 0

    def active_backends(self) -> list[str]:
        """Addresses of the active nodes in service, in order of registration."""
        nodes = self._client.nodes(role=self._role, status="active").values()
        return [node.vpn_ip for node in nodes if node.vpn_ip and node.lifecycle == "in_service"]

    async def refresh(self) -> None:
        """Ask again and again; while the registry is away, the latest answer stands."""
        while True:
            with contextlib.suppress(Unreachable, Refused):
                self._backends = await asyncio.to_thread(self.active_backends)
            await asyncio.sleep(REFRESH_SECONDS)

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to the next backend that takes it."""
        for _ in self._backends:
            self._next += 1
            address = self._backends[self._next % len(self._backends)]
            try:
                far_reader, far_writer = await asyncio.open_connection(address, self._port)
            except OSError:
                continue
            await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
            return
        writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(PIECE):
            writer.write(piece)
            await writer.drain()
    writer.close()


async def main(registry: str, role: str, port: str, listen: str) -> None:
    """Serve without end."""
    balancer = Balancer(registry, role, int(port))
    refreshing = asyncio.create_task(balancer.refresh())
    server = await asyncio.start_server(balancer.forward, "127.0.0.1", int(listen))
    async with server:
        await asyncio.gather(refreshing, server.serve_forever())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:5]))
