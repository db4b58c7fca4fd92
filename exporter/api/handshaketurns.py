"""Handshakes of TLS make progress in turns: each step may cost a signature, a millisecond of the event loop's time."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Protocol

from exporter.domain.roundrobin import RoundRobin

ROUND_SECONDS = 0.001
"""A round begins no further step after this time; then the loop serves its sockets."""
STEPS = 4
"""At most so many in a round: some work of a step, such as that on its transport, is done after it."""
REST = 1
"""A round is followed by a pause of so many times its length, so that handshakes never take more than half."""


class Step(Protocol):
    """What waits for its turn."""

    source: str
    trusted: bool

    @property
    def first(self) -> bool:
        """Whether it goes before others of its source."""
        raise NotImplementedError

    def take_turn(self) -> None:
        """Make progress."""


class HandshakeTurns:
    """Of one listener. Trusted peers and strangers take turns, and among each of them their sources."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: dict[bool, RoundRobin[Step]] = {True: RoundRobin(), False: RoundRobin()}
        self._trusted_next = True
        self._scheduled = False

    def wait(self, step: Step) -> None:
        """Let it take its turn, once, in one of the next rounds."""
        self._waiting[step.trusted].add(step.source, step, first=step.first)
        self._schedule()

    def leave(self, step: Step) -> None:
        """It waits no longer."""
        self._waiting[step.trusted].discard(step.source, step)

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        began = now = perf_counter()
        taken = 0
        while taken < STEPS and now - began < ROUND_SECONDS and (step := self._next()) is not None:
            step.take_turn()
            taken, now = taken + 1, perf_counter()
        if taken:
            # uvloop would begin a round that is due, and one that is to begin soon, in one turn.
            self._loop.call_later(REST * (now - began), self._loop.call_soon, self._begin)
        else:
            self._scheduled = False

    def _next(self) -> Step | None:
        for trusted in (self._trusted_next, not self._trusted_next):
            if self._waiting[trusted]:
                self._trusted_next = not trusted
                return self._waiting[trusted].pop()
        return None
