"""Lines for standard error or output, which hold nobody up: their reader may have stopped reading."""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from typing import TextIO

MAX_LINES = 10_000
MAX_BYTES = 4 * 2**20
"""Of the lines that wait; beyond either, new ones are dropped and counted."""
FLUSH_SECONDS = 1.0


class LineWriter:
    """Takes lines at once, and writes them in a thread of its own. Threads may share it."""

    def __init__(self, stream: TextIO, *, note_dropped: bool = True) -> None:
        """`note_dropped`: once there is room again, write a line that says how many were dropped."""
        self.stream = stream
        self.dropped = 0
        """Lines that were dropped because nobody read, since the start."""
        self._note_dropped = note_dropped
        self._noted = 0
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._writing = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def write(self, line: str) -> None:
        """Write the line, which has no newline at its end, as soon as it can be."""
        data = line.encode(errors="backslashreplace") + b"\n"
        with self._changed:
            if len(self._lines) >= MAX_LINES or self._bytes + len(data) > MAX_BYTES:
                self.dropped += 1
                return
            none_waits = not self._lines
            if self._note_dropped and self.dropped > self._noted and len(self._lines) < MAX_LINES // 2:
                count = self.dropped - self._noted
                self._push(f'level=warning logger=aurora.log msg="log lines dropped" lines={count}\n'.encode())
                self._noted = self.dropped
            self._push(data)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="aurora-log", daemon=True)
                self._thread.start()
            if none_waits:  # Else the thread was woken already, and to do so takes as long as all else.
                self._changed.notify_all()

    def flush(self, seconds: float = FLUSH_SECONDS) -> bool:
        """Wait until all is written, at most for this time; whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._lines and not self._writing, seconds)

    def _push(self, data: bytes) -> None:
        self._lines.append(data)
        self._bytes += len(data)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: bool(self._lines))
                # Together, since a system call a line would be most of the work.
                data = b"".join(self._lines)
                self._lines.clear()
                self._bytes = 0
                self._writing = True
            self._put(data)

    def _put(self, data: bytes) -> None:
        try:
            number = self.stream.fileno()
        except (OSError, ValueError):
            self._put_into_stream(data)
            return
        # Not through the stream: its lock, held by a thread that is stuck, would hold up the end of Python itself.
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(number, left) :]
            except BlockingIOError:
                select.select([], [number], [])
            except OSError:
                with self._changed:
                    self.dropped += bytes(left).count(b"\n")
                return

    def _put_into_stream(self, data: bytes) -> None:
        try:
            self.stream.write(data.decode(errors="replace"))
            self.stream.flush()
        except (OSError, ValueError):
            with self._changed:
                self.dropped += data.count(b"\n")
