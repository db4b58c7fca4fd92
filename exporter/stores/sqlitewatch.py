"""Who else had a file open: the kernel says so (inotify(7)), and a `stat` does not where we write ourselves."""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import time
from pathlib import Path
from types import TracebackType
from typing import Self

IN_CLOSE_WRITE, IN_CLOSE_NOWRITE, IN_OPEN, IN_Q_OVERFLOW = 0x8, 0x10, 0x20, 0x4000
FORGET_SECONDS = 60.0
"""One that opened the file this long ago, and did nothing since, is no longer waited for: equal events count once."""
_HEADER = struct.Struct("iIII")


class Openings:
    """Notices others, but not who opened the file before us, nor where the kernel does not say: then `seen` says no."""

    def __init__(self, path: Path) -> None:
        self._descriptor: int | None = None
        self._open = 0
        self._latest = 0.0
        with contextlib.suppress(OSError, AttributeError):
            libc = ctypes.CDLL(None, use_errno=True)
            descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
            if descriptor < 0:
                return
            self._descriptor = descriptor
            libc.inotify_add_watch(descriptor, os.fsencode(path), IN_OPEN | IN_CLOSE_WRITE | IN_CLOSE_NOWRITE)

    def seen(self) -> bool:
        """Whether anybody may have written to it since the last time that this was asked."""
        written = False
        for mask in self._events():
            written |= bool(mask & (IN_CLOSE_WRITE | IN_Q_OVERFLOW))
            self._open = max(0, self._open + (1 if mask & IN_OPEN else -1))
            self._latest = time.monotonic()
        if time.monotonic() - self._latest > FORGET_SECONDS:
            self._open = 0
        return written or self._open > 0

    def _events(self) -> list[int]:
        masks: list[int] = []
        if self._descriptor is not None:
            with contextlib.suppress(BlockingIOError):
                while content := os.read(self._descriptor, 1 << 16):
                    at = 0
                    while at < len(content):
                        _, mask, _, length = _HEADER.unpack_from(content, at)
                        masks.append(mask)
                        at += _HEADER.size + length
        return masks

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
