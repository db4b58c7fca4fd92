"""Long work on the event loop, in short stretches, and only a few of them before the loop serves its sockets again."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TypeVar

STRETCH_NS = 500_000
STRETCHES = 2
LONG_ROUND_SECONDS = 0.001
"""Of all work between two looks at the sockets: after a longer round, fewer pass."""
Value = TypeVar("Value")


class Turns:
    """At most `per_round` pass between two looks of the event loop at its sockets; the others wait, first come first.

    So whatever does not wait here, such as a heartbeat, waits for no more than one round of what does. Fewer pass, down
    to one, while rounds take long: where the machine is slow or busy, or what passes is dear.
    """

    def __init__(self, per_round: int) -> None:
        self._most = per_round
        self._per_round = self._left = per_round
        self._began = 0.0
        """When the round did."""
        self._waiting: deque[Callable[[], bool | None]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        """The loop whose next round is scheduled."""

    def call(self, call: Callable[[], bool | None]) -> None:
        """Call it, once, when it is its turn: at once while few ask. False says that there was nothing to do for it."""
        if self._passes(asyncio.get_running_loop()):
            call()
        else:
            self._waiting.append(call)

    async def wait(self) -> None:
        """Return when it is the caller's turn: at once while few ask."""
        loop = asyncio.get_running_loop()
        if not self._passes(loop):
            turn: asyncio.Future[None] = loop.create_future()
            self._waiting.append(partial(resolve, turn, None))
            await turn

    def _passes(self, loop: asyncio.AbstractEventLoop) -> bool:
        if self._loop is not loop:
            self._begin(loop)
        passes = self._left > 0 and not self._waiting
        self._left -= passes
        return passes

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is not None and self._loop.is_closed():
            self._waiting.clear()
        self._loop, self._left, self._began = loop, self._per_round, time.perf_counter()
        loop.call_soon(self._next_round)

    def _next_round(self) -> None:
        before, self._began = self._began, time.perf_counter()
        is_long = self._began - before > LONG_ROUND_SECONDS
        self._per_round = max(1, self._per_round // 2) if is_long else min(self._most, self._per_round + 1)
        self._left = self._per_round
        while self._waiting and self._left:
            self._left -= self._waiting.popleft()() is not False
        loop = self._loop
        if self._waiting and loop is not None:
            loop.call_soon(self._next_round)
        else:
            self._loop = None


def resolve(future: asyncio.Future[Value], value: Value) -> bool:
    """Give the future its value; False where it already had one or was cancelled."""
    if future.done():
        return False
    future.set_result(value)
    return True


_stretches = Turns(STRETCHES)


class Yielder:
    """Lets others have the event loop whenever half a millisecond has been spent since they last had it."""

    def __init__(self) -> None:
        self._since_ns = time.perf_counter_ns()

    async def maybe_yield(self) -> None:
        """Call it between small steps; whatever may have changed in between must be read again."""
        if time.perf_counter_ns() - self._since_ns > STRETCH_NS:
            await asyncio.sleep(0)
            await _stretches.wait()
            self._since_ns = time.perf_counter_ns()
