"""Reading a file that somebody names in a setting: whatever stands there, it has an end, and soon."""

from __future__ import annotations

import os
import select
import stat
import time

from exporter.domain.errors import Invalid

PATIENCE_SECONDS = 5.0
"""For what comes through a pipe, such as that of `sops exec-file` or of a shell's `<(...)`."""
_STEP = 65_536


def read_file(path: str, limit: int) -> bytes:
    """All of a file of at most `limit` bytes, or of a pipe that somebody writes to. Raises Invalid, naming the path."""
    try:
        # A pipe that nobody writes to would else be waited for without end.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            kind = os.fstat(descriptor).st_mode
            content = _through_pipe(descriptor, limit) if stat.S_ISFIFO(kind) else _read(descriptor, limit)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise Invalid.of("", f"cannot read {path}: {error.strerror}") from None
    if content is None:
        raise Invalid.of("", f"cannot read {path}: it is a pipe to which nobody writes")
    if len(content) > limit:
        raise Invalid.of("", f"{path} has more than {limit} bytes: is this the right file?")
    return content


def _read(descriptor: int, limit: int) -> bytes:
    parts, left = [], limit + 1
    while left > 0 and (part := os.read(descriptor, min(left, _STEP))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _through_pipe(descriptor: int, limit: int) -> bytes | None:
    """None where nothing comes: a pipe is empty once it was read, and an empty file says something else."""
    poller, parts, left = select.poll(), [], limit + 1
    poller.register(descriptor, select.POLLIN)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while left > 0:
        if not poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
            return None
        part = os.read(descriptor, min(left, _STEP))
        if not part:
            break
        parts.append(part)
        left -= len(part)
    return b"".join(parts) or None
