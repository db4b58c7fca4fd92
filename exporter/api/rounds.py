"""What arrives is parsed, and requests are begun, in rounds: a few between two looks of the event loop at its sockets.

Else hundreds of connections that send at the same moment would be served, all of them, before anything else is done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sized
from enum import Enum
from heapq import heappop, heappush
from itertools import count
from time import perf_counter
from typing import ClassVar, Protocol
from weakref import WeakKeyDictionary

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.server import ServerState

from exporter.api.bytebudget import ByteBudget
from exporter.exposition.yielder import Turns

ROUND_SECONDS = 0.0005
"""A round parses for at most this time and one slice more; heartbeats do not count."""
SLICE = 16_384
"""Bytes of a body that are parsed at once; of chunks of one byte each that takes a millisecond."""
HEADS = 1_024
"""Bytes that are parsed at once where no body is awaited."""
END_OF_HEAD = b"\r\n\r\n"
MAX_UNPARSED = 2**26
"""Bytes that wait to be parsed, of all connections together; uvloop reads up to 256 KiB of each at once."""
SMALL = 4_096
"""A heartbeat of so many bytes is parsed at once."""
BEGUN = 4
"""So many of each kind of work are begun in a round; the heartbeat of one node is begun at once."""
BEGIN, HEARTBEAT, FIRST_LINE = b"POST /nodes/", b"/heartbeat ", 96


def is_heartbeat(data: bytes) -> bool:
    """Whether this is a heartbeat as nodes send it."""
    return len(data) <= SMALL and data.startswith(BEGIN) and data.find(HEARTBEAT, len(BEGIN), FIRST_LINE) > 0


class Work(Enum):
    """What a request is, for those that are begun in turns."""

    READ = "read"
    WRITE = "write"
    HEARTBEATS = "heartbeats"
    """Of many nodes."""


class Rounds:
    """Of one server. What does not fit into a round waits for a later one; who took the least time goes first."""

    _of_server: ClassVar[WeakKeyDictionary[ServerState, Rounds]] = WeakKeyDictionary()

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._left = ROUND_SECONDS
        self._waiting: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._begun = {work: Turns(BEGUN) for work in Work}
        self.unparsed = ByteBudget(MAX_UNPARSED)
        self._scheduled = False

    @classmethod
    def of(cls, server: ServerState, loop: asyncio.AbstractEventLoop) -> Rounds:
        """The rounds that all connections of a server share."""
        return cls._of_server.setdefault(server, cls(loop))

    def has_room(self) -> bool:
        """Whether something may be parsed now."""
        return self._left > 0 and not self._waiting

    def spend(self, parse: Callable[[bytes], None], data: bytes) -> float:
        """Parse it now; the time, which is returned in seconds, counts for this round."""
        began = perf_counter()
        parse(data)
        spent = perf_counter() - began
        self._left -= spent
        self._schedule()
        return spent

    def wait(self, turn: Callable[[], None], spent: float) -> None:
        """Call it, once, in one of the next rounds: before those whose request has taken more than `spent` seconds."""
        heappush(self._waiting, (spent, next(self._numbers), turn))
        self._schedule()

    def begin(self, request: Callable[[], None], work: Work) -> None:
        """Call it, once, in this round or one of the next. No kind of work keeps another one waiting."""
        self._begun[work].call(request)

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        self._scheduled = False
        self._left = ROUND_SECONDS
        while self._waiting and self._left > 0:
            heappop(self._waiting)[-1]()


class ParsedConnection(Protocol):
    """What an Inflow needs of its connection."""

    trusted: bool

    @property
    def pipeline(self) -> Sized:
        """Requests that are whole, and wait: nothing is parsed meanwhile."""
        raise NotImplementedError

    def parse(self, data: bytes) -> None:
        """The next slice of what arrived."""

    def body_left(self) -> int:
        """Bytes of a body that are awaited, at least; 0 where none is."""
        raise NotImplementedError

    def no_room(self) -> None:
        """What arrived was not kept."""


class Nobody:
    """The connection that is gone."""

    trusted = False
    pipeline: Sized = ()

    def parse(self, data: bytes) -> None:
        """Nobody wants it."""

    def body_left(self) -> int:
        """Nothing is awaited."""
        return 0

    def no_room(self) -> None:
        """Nobody misses it."""


class Inflow(FlowControl):
    """What one connection sends: parsed at once, or in slices when it is its turn.

    Nothing is read while requests wait behind the one that is answered, or while something waits to be parsed:
    uvicorn's reads on, and keeps all it gets.
    """

    def __init__(self, transport: asyncio.Transport, rounds: Rounds, connection: ParsedConnection) -> None:
        super().__init__(transport)
        self._transport = transport
        self._rounds = rounds
        self._connection = connection
        self._planned = False
        """Whether its turn comes."""
        self.spent = 0.0
        """Seconds of parsing that the latest request has taken so far; a connection that took less goes first."""
        self.counts = True
        """Whether parsing counts as time: not where it brings heartbeats."""
        self.unparsed = b""

    def begin(self) -> None:
        """Another request."""
        self.spent, self.counts = 0.0, True

    def receive(self, data: bytes) -> None:
        """The connection sent this."""
        may_parse = not (self.unparsed or self._connection.pipeline) and self._rounds.has_room()
        if may_parse and len(data) <= (min(self._connection.body_left(), SLICE) or HEADS):
            self._spend(data)
            if self.unparsed:
                self._transport.pause_reading()
                self._plan()
        elif self._rounds.unparsed.admits(len(self.unparsed), len(data), trusted=self._connection.trusted):
            if not self.unparsed:
                self._transport.pause_reading()
            self._keep(self.unparsed + data)
            self._plan()
        else:
            self._connection.no_room()

    def resume_reading(self) -> None:
        """Read on, unless a whole request waits already."""
        # The first question alone is asked twice for each request.
        if (self.unparsed or self.read_paused) and not self._connection.pipeline:
            self._plan()
            if self.read_paused:
                self.read_paused = False
                self._read_on()

    def drop(self) -> None:
        """Nobody wants what is not parsed yet, nor anything more."""
        self._keep(b"")
        self._connection = Nobody()

    def _take_turn(self) -> None:
        self._planned = False
        if self.unparsed:
            self._spend(self.unparsed)
        if self.unparsed:
            self._plan()
        else:
            self._read_on()

    def _spend(self, data: bytes) -> None:
        spent = self._rounds.spend(self._parse, data)
        if self.counts:
            self.spent += spent

    def _parse(self, data: bytes) -> None:
        # Cutting is a part of it, since it counts as time as well: what is left may be large, and is copied.
        in_body = self._connection.body_left() > 0
        self._cut(data)
        if self.unparsed and not in_body and self._connection.body_left():
            self._cut(self.unparsed)

    def _cut(self, data: bytes) -> None:
        size = self._slice(data)
        self._keep(data[size:])
        self._connection.parse(data[:size])

    def _plan(self) -> None:
        if self.unparsed and not self._connection.pipeline and not self._planned:
            self._planned = True
            self._rounds.wait(self._take_turn, self.spent)

    def _slice(self, data: bytes) -> int:
        """So many bytes are parsed at once: of requests that come together one, since each that is parsed is kept."""
        left = self._connection.body_left()
        if left:
            return min(left, SLICE)
        end = data.find(END_OF_HEAD, 0, HEADS) + len(END_OF_HEAD)
        is_one = end < len(END_OF_HEAD) or data.find(END_OF_HEAD, end, HEADS) < 0
        return HEADS if is_one else end

    def _keep(self, data: bytes) -> None:
        self._rounds.unparsed.change(len(self.unparsed), len(data))
        self.unparsed = data

    def _read_on(self) -> None:
        if not (self.unparsed or self.read_paused or self._transport.is_closing()):
            self._transport.resume_reading()
