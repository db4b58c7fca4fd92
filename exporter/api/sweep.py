"""One timer that looks for requests that do not arrive, for readers that do not read, and for idle connections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from exporter.domain.clock import SECOND
from exporter.domain.config import Limits

LONGEST_PAUSE, LOOKS = 1.0, 4
"""Connections are checked every second, or four times in the timeout where that is shorter."""
TOGETHER = 50
"""So many are ended at once; in between, others have their turn."""


class Sweep:
    """Checks all connections of a server from time to time, as long as there are any."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connections: set[Any], keep_alive: float) -> None:
        """`keep_alive`: seconds that a connection may wait for its next request."""
        self._keep_alive = keep_alive
        self._loop = loop
        self._connections = connections
        self._timer: asyncio.Handle | None = None

    def begin(self, limits: Callable[[], Limits]) -> None:
        """Begin to check, unless it is running already."""
        if self._timer is None:
            shortest_ns = min(limits().receive_timeout, limits().send_timeout)
            pause = min(LONGEST_PAUSE, shortest_ns / SECOND / LOOKS)
            self._timer = self._loop.call_later(pause, self._look, limits)

    def _look(self, limits: Callable[[], Limits], rest: list[Any] | None = None) -> None:
        """Look at all of them, or at the rest."""
        self._timer = None
        now, ended = self._loop.time(), 0
        connections = list(self._connections) if rest is None else rest
        late, blocked = (now - each / SECOND for each in (limits().receive_timeout, limits().send_timeout))
        unused = now - self._keep_alive
        for position, connection in enumerate(connections, 1):
            if connection.since is not None and connection.since <= late:
                connection.overdue()
                ended += 1
            if connection.blocked_since is not None and connection.blocked_since <= blocked:
                connection.cut_slow_reader(now)
                ended += 1
            if connection.idle_since is not None and connection.idle_since <= unused:
                connection.close_idle()
                ended += 1
            if ended >= TOGETHER:
                self._timer = self._loop.call_soon(self._look, limits, connections[position:])
                return
        if self._connections:
            self.begin(limits)
