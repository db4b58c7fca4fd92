"""The last resort: a program that was asked to end does so, even if it has to be aborted."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable

EXIT_STATUS = 1
FLUSH_SECONDS = 1.0
log = logging.getLogger("aurora.process")


class ExitDeadline:
    """From `start` on, the process has so many seconds to end by itself; then it is ended.

    A thread of its own keeps the time, so that a stuck event loop, or another thread that Python waits for at its
    end, cannot hold it up.
    """

    def __init__(
        self, seconds: float, *, flush: Callable[[float], object] = lambda _: None, status: int | None = None
    ) -> None:
        """`flush`: writes out what is left of the log, within the seconds that it is given.

        `status`: how it ends where all its work is done; without one it is aborted with 1, and the log says so.
        """
        self._seconds = seconds
        self._status = status
        self._flush = flush
        self._timer: threading.Timer | None = None

    def start(self) -> None:
        """Begin to count; a second call changes nothing. Fit for a signal handler."""
        if self._timer is None:
            self._timer = threading.Timer(self._seconds, self._end)
            self._timer.daemon = True
            self._timer.start()

    def cancel(self) -> None:
        """The program has ended by itself after all."""
        if self._timer is not None:
            self._timer.cancel()

    def _end(self) -> None:
        if self._status is None:
            log.error("the program did not end in time and is aborted", extra={"seconds": self._seconds})
        self._flush(FLUSH_SECONDS)
        os._exit(EXIT_STATUS if self._status is None else self._status)
