"""Calls that may hang, made by a thread that nobody has to wait for."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

STEP = 0.05


class Call:
    """A call under way, or done."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self._done = threading.Event()
        self._value: Any = None
        self._error: BaseException | None = None

    def run(self) -> None:
        """Make the call, in the worker's thread."""
        try:
            self._value = self._function()
        except BaseException as error:  # noqa: BLE001 - the caller is the one to judge
            self._error = error
        self._done.set()

    def wait(self, seconds: float) -> bool:
        """Whether it is done within so many seconds."""
        return self._done.wait(seconds)

    def ended(self, seconds: float, stopping: Callable[[], bool]) -> bool:
        """Whether it is done within so many seconds, or less once we are stopping: a signal ends no wait by itself."""
        deadline = time.monotonic() + seconds
        while not stopping() and (left := deadline - time.monotonic()) > 0:
            if self.wait(min(left, STEP)):
                return True
        return self.done

    @property
    def done(self) -> bool:
        """Whether it is done."""
        return self._done.is_set()

    def value_or(self, otherwise: Any) -> Any:
        """What the function returned; `otherwise`, if it raised something."""
        return otherwise if self._error is not None else self._value

    @property
    def value(self) -> Any:
        """What the function returned; what it raised is raised."""
        if self._error is not None:
            raise self._error
        return self._value


class Worker:
    """One daemon thread, started when it is first needed: the end of the process does not wait for it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: queue.SimpleQueue[Call] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def start(self, function: Callable[[], Any]) -> Call:
        """Begin a call, behind those that were begun before it."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        call = Call(function)
        self._calls.put(call)
        return call

    def _work(self) -> None:
        while True:
            self._calls.get().run()
