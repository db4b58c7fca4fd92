"""Calls that block, made by a few threads that nobody has to wait for."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Workers:
    """A bounded number of daemon threads, each started when it is first needed.

    Not a ThreadPoolExecutor: the end of a process waits for that one's threads, and a thread that looks up a host name
    in a network that is down takes half a minute.
    """

    def __init__(self, count: int, name: str) -> None:
        self._count = count
        self._name = name
        self._threads: list[threading.Thread] = []
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._free = asyncio.Semaphore(count)

    async def call(self, function: Callable[[], T], *, within: float) -> T:
        """What the function returns or raises; TimeoutError when it takes longer than `within` seconds.

        The time runs from when it is its turn, not while it waits behind others.
        """
        async with self._free, asyncio.timeout(within):
            if len(self._threads) < self._count:
                self._start()
            future: Future[T] = Future()
            self._calls.put((future, function))
            return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Let each thread end after what it does now."""
        for _ in self._threads:
            self._calls.put(None)

    def _start(self) -> None:
        name = f"{self._name}-{len(self._threads)}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        while (work := self._calls.get()) is not None:
            future, function = work
            # One whose time ran out before a thread was free is not made at all.
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function())
                except BaseException as error:  # noqa: BLE001 - the caller is the one to judge
                    future.set_exception(error)
