"""One result that is worked out once for all who ask for it meanwhile."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

AT_ONCE = 8
"""So many of those who wait have the result between two looks of the event loop at its sockets."""
T = TypeVar("T")


class Shared(Generic[T]):
    """A result under way, and all who wait for it."""

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self._waiting: deque[asyncio.Future[T]] = deque()
        self._task = asyncio.create_task(work)
        self._task.add_done_callback(self._deliver)

    def done(self) -> bool:
        """Whether the work has ended, well or not."""
        return self._task.done()

    async def result(self) -> T:
        """The result, at once or once it is there; raises what the work raised. Who gives up does not stop the work."""
        if self._task.done():
            return self._task.result()
        waiter: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        return await waiter

    def _deliver(self, task: asyncio.Task[T]) -> None:
        """To a few at a time: hundreds who woke at once would hold up everybody else."""
        for _ in range(min(AT_ONCE, len(self._waiting))):
            waiter = self._waiting.popleft()
            if waiter.done():
                continue
            if task.cancelled():
                waiter.cancel()
            elif error := task.exception():
                waiter.set_exception(error)
            else:
                waiter.set_result(task.result())
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._deliver, task)
