"""uvicorn's server, with an end of our own: each connection is ended by what it is about, and none holds us up."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import uvicorn

from exporter.api.protocol import DeadlineProtocol
from exporter.api.securedlistener import SecuredListener

log = logging.getLogger("aurora.web")

LOOK_SECONDS = 0.05
CLOSE_SECONDS = 1.0
"""How long peers have to close a connection on which nothing is under way: with TLS, both sides close."""
NAMED = 5
"""Peers that the log names."""


class Server(uvicorn.Server):
    """Leaves signals to its caller; at its end answers what it received whole, and refuses what did not come yet."""

    def __init__(self, config: uvicorn.Config, grace_seconds: float) -> None:
        """`grace_seconds`: how long requests that are under way at the end may take."""
        super().__init__(config)
        self._grace_seconds = grace_seconds
        self._secured: list[SecuredListener] = []

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none: uvicorn would raise a caught SIGTERM again once it is done; we end with status 0 instead."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen; for TLS by ourselves, since uvicorn's handshakes have no limits."""
        if self.config.ssl is None or sockets is None:
            await super().startup(sockets=sockets)
            return

        made: Any = self.config.http_protocol_class
        protocol: Callable[[], DeadlineProtocol] = partial(
            made, config=self.config, server_state=self.server_state, app_state={}
        )
        self.servers = []
        for listening in sockets:
            self._secured.append(SecuredListener(listening, protocol, self.config.ssl, self.server_state))
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End all connections; those that are under way after the grace are cut, and the log names them."""
        for listening in (*self._secured, *self.servers, *(sockets or ())):
            listening.close()
        await self._wait(CLOSE_SECONDS, self._connections)
        for connection in self._connections():
            if not connection.under_way():
                connection.cut()
        await self._wait(self._grace_seconds - CLOSE_SECONDS, self._connections)
        left = self._connections()
        if left:
            peers = ", ".join("{}:{}".format(*each.client) for each in left[:NAMED] if each.client)
            log.warning(
                "connections were closed: their peers did not read their answers",
                extra={"connections": len(left), "peers": peers},
            )
        for connection in left:
            connection.cut()
        # Whose connections are gone has nobody to answer. What waits for the store does so for two seconds at most.
        await self._wait(CLOSE_SECONDS, lambda: self.server_state.tasks)

    def _connections(self) -> list[DeadlineProtocol]:
        connections: set[Any] = self.server_state.connections
        return list(connections)

    async def _wait(self, seconds: float, left: Callable[[], Any]) -> None:
        """Wait until nothing is left, at most for this time; connections end as soon as they can."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while True:
            # Each time: one more may have come by a handshake of TLS that was under way.
            for connection in self._connections():
                connection.shutdown()
            if not left() or loop.time() >= deadline:
                return
            await asyncio.sleep(LOOK_SECONDS)
