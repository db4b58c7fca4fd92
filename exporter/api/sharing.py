"""One result that is worked out once for all who ask for it meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Hashable
from functools import partial
from typing import Any, Generic, TypeVar

from exporter.exposition.yielder import Turns, resolve

AT_ONCE = 8
"""So many of those who wait have the result between two looks of the event loop at its sockets."""
_turns = Turns(AT_ONCE)
T = TypeVar("T")


class Shared(Generic[T]):
    """A result under way, and all who wait for it."""

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self._waiting: list[asyncio.Future[None]] = []
        self._task = asyncio.create_task(work)
        self._task.add_done_callback(self._deliver)

    def done(self) -> bool:
        """Whether the work has ended, well or not."""
        return self._task.done()

    async def result(self) -> T:
        """The result, at once or once it is there; raises what the work raised. Giving up does not stop the work."""
        if not self._task.done():
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter
        return self._task.result()

    def _deliver(self, _: asyncio.Task[T]) -> None:
        """To a few at a time: hundreds who woke at once would hold up everybody else."""
        for waiter in self._waiting:
            _turns.call(partial(resolve, waiter, None))
        self._waiting.clear()


class SharedByKey(Generic[T]):
    """Results under way, keyed by the request: equal requests share one result."""

    def __init__(self) -> None:
        self._running: dict[Hashable, Shared[T]] = {}

    def __len__(self) -> int:
        return len(self._running)

    def find(self, key: Hashable) -> Shared[T] | None:
        """The one that is under way."""
        return self._running.get(key)

    def begin(self, key: Hashable, work: Coroutine[Any, Any, T]) -> Shared[T]:
        """Another one."""
        shared = self._running[key] = Shared(self._until_done(key, work))
        return shared

    async def _until_done(self, key: Hashable, work: Coroutine[Any, Any, T]) -> T:
        try:
            return await work
        finally:
            del self._running[key]
