"""The readers of the event stream. A few at a time are woken: in between, heartbeats are answered."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable

PER_TURN = 4
"""Readers woken between two looks of the event loop at its sockets; each sends one batch of events."""
KEEP_ALIVE_SECONDS = 15.0
"""A reader that was sent nothing for this time is sent a comment;"""
SOONER = 1 / 3
"""by up to so much of it sooner, since readers that had the same event would all be due together."""
SWEEPS = 15
"""Looks for readers that are due, in that time."""


class Reader:
    """One open stream: a position in the log, and a bell that rings when there may be more."""

    def __init__(self, position: int) -> None:
        self.position = position
        self.gone = False
        """The caller closed the connection."""
        self.cut: Callable[[], None] = lambda: None
        """Cuts the connection, whatever is still to be sent."""
        self.queued = False
        """Whether it is to be woken."""
        self.due_at = 0.0
        """When a comment is due (loop time)."""
        self._rang = False
        self._waiting: asyncio.Future[None] | None = None

    async def woken(self) -> None:
        """Wait until it was woken, since it waited last."""
        if not self._rang:
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        self._rang = False

    def wake(self) -> None:
        """There may be something to do for it."""
        self.queued, self._rang = False, True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def sent(self, now: float) -> None:
        """It was sent something."""
        self.due_at = now + KEEP_ALIVE_SECONDS * (1 - random.uniform(0, SOONER))  # noqa: S311 - no secret


class Readers:
    """All of them. They are woken in the order in which they are rung for, whatever the reason."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._all: dict[Reader, None] = {}
        self._calls: deque[Callable[[], None]] = deque()
        self._sweep = loop.call_later(KEEP_ALIVE_SECONDS / SWEEPS, self._look)

    def __len__(self) -> int:
        return len(self._all)

    def add(self, reader: Reader) -> None:
        """Another one."""
        reader.sent(self._loop.time())
        self._all[reader] = None

    def remove(self, reader: Reader) -> None:
        """It is done."""
        self._all.pop(reader, None)

    def ring(self, reader: Reader) -> None:
        """Wake it when it is its turn."""
        if not reader.queued:
            reader.queued = True
            self._call(reader.wake)

    def ring_all(self) -> None:
        """Wake everyone, each when it is its turn."""
        for reader in self._all:
            self.ring(reader)

    async def round(self) -> None:
        """Wake everyone; return once all have been."""
        self.ring_all()
        done = asyncio.Event()
        self._call(done.set)
        await done.wait()

    def stop(self) -> None:
        """Wake everyone, a last time."""
        self._sweep.cancel()
        self.ring_all()

    def cut(self) -> None:
        """Cut the connections of those who are still there."""
        for reader in self._all:
            reader.cut()

    def _call(self, call: Callable[[], None]) -> None:
        if not self._calls:
            self._loop.call_soon(self._turn)
        self._calls.append(call)

    def _turn(self) -> None:
        for _ in range(min(PER_TURN, len(self._calls))):
            self._calls.popleft()()
        if self._calls:
            self._loop.call_soon(self._turn)

    def _look(self) -> None:
        now = self._loop.time()
        for reader in self._all:
            if reader.due_at <= now:
                self.ring(reader)
        self._sweep = self._loop.call_later(KEEP_ALIVE_SECONDS / SWEEPS, self._look)
