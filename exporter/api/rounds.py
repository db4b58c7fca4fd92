"""What arrives is parsed in rounds: a little of each connection between two looks of the event loop at its sockets.

Else hundreds of connections that send at the same moment would be parsed, all of them, before anything else is done.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sized
from time import perf_counter
from typing import ClassVar
from weakref import WeakKeyDictionary

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.server import ServerState

ROUND_SECONDS = 0.002
"""So long at most, and one slice more, is parsed in a round; heartbeats excepted."""
SLICE = 16_384
"""Bytes that are parsed at once; of chunks of one byte each that takes a millisecond."""
SMALL = 4_096
"""A heartbeat of so many bytes is parsed at once."""
BEGIN, HEARTBEAT, FIRST_LINE = b"POST /nodes/", b"/heartbeat ", 96


def is_heartbeat(data: bytes) -> bool:
    """Whether this is a heartbeat as nodes send it."""
    return len(data) <= SMALL and data.startswith(BEGIN) and data.find(HEARTBEAT, len(BEGIN), FIRST_LINE) > 0


class Flow(FlowControl):
    """Reads nothing while requests wait behind the one that is answered, or what was read waits to be parsed.

    uvicorn's reads on, and keeps all it gets.
    """

    def __init__(self, transport: asyncio.Transport, requests: Sized, unparsed: Sized) -> None:
        super().__init__(transport)
        self._transport = transport
        self._requests = requests
        self._unparsed = unparsed

    def resume_reading(self) -> None:
        """Read on, unless a whole request waits already."""
        if not self._requests and self.read_paused:
            self.read_paused = False
            self.go_on()

    def go_on(self) -> None:
        """Read on, unless something speaks against it."""
        if not self._unparsed and not self.read_paused and not self._transport.is_closing():
            self._transport.resume_reading()


class Rounds:
    """Of one server; what has no place in a round waits for one of the next, first come, first served."""

    _of_server: ClassVar[WeakKeyDictionary[ServerState, Rounds]] = WeakKeyDictionary()

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._left = ROUND_SECONDS
        self._waiting: deque[Callable[[], None]] = deque()
        self._scheduled = False

    @classmethod
    def of(cls, server: ServerState, loop: asyncio.AbstractEventLoop) -> Rounds:
        """The rounds that all connections of a server share."""
        return cls._of_server.setdefault(server, cls(loop))

    def has_room(self) -> bool:
        """Whether something may be parsed now."""
        return self._left > 0 and not self._waiting

    def spend(self, parse: Callable[[bytes], None], data: bytes) -> None:
        """Parse it now; the time counts for this round."""
        began = perf_counter()
        parse(data)
        self._left -= perf_counter() - began
        self._schedule()

    def wait(self, turn: Callable[[], None]) -> None:
        """Call it, once, in one of the next rounds."""
        self._waiting.append(turn)
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        self._scheduled = False
        self._left = ROUND_SECONDS
        while self._waiting and self._left > 0:
            self._waiting.popleft()()
