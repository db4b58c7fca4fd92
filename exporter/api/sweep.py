"""One timer for all connections of a server, which ends those that are too slow."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from exporter.domain.clock import SECOND
from exporter.domain.config import Limits

LONGEST_PAUSE, LOOKS = 1.0, 4
"""Connections are checked every second, or four times in the timeout where that is shorter."""


class Sweep:
    """Checks all connections of a server from time to time, as long as there are any."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connections: set[Any]) -> None:
        self._loop = loop
        self._connections = connections
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, limits: Callable[[], Limits]) -> None:
        """Begin to check, unless that goes on already."""
        if self._timer is None:
            shortest_ns = min(limits().receive_timeout, limits().send_timeout)
            pause = min(LONGEST_PAUSE, shortest_ns / SECOND / LOOKS)
            self._timer = self._loop.call_later(pause, self._look, limits)

    def _look(self, limits: Callable[[], Limits]) -> None:
        self._timer = None
        now = self._loop.time()
        late, blocked = (now - each / SECOND for each in (limits().receive_timeout, limits().send_timeout))
        for connection in list(self._connections):
            if connection.since is not None and connection.since <= late:
                connection.overdue()
            if connection.blocked_since is not None and connection.blocked_since <= blocked:
                connection.cut_slow_reader(now)
        if self._connections:
            self.begin(limits)
