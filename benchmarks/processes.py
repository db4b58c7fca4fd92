"""Processes that are measured: started until they listen, looked at, and ended by their id."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from demo.ports import HOST
from demo.process import Child, clean_env

_CLOCK_OF_PROCESS = 2
"""Among the clocks that the low three bits of a clock's id distinguish; the others are the process' id, inverted."""


@contextlib.contextmanager
def running(
    argv: Sequence[str], *, port: int, directory: Path, environment: Mapping[str, str] | None = None
) -> Iterator[int]:
    """The id of a process that listens on the port; it is ended by that id. Its output goes to a file."""
    name = f"{Path(argv[0]).name}-{port}"
    child = Child(name, argv, directory, environment={**clean_env(), **(environment or {})})
    try:
        child.start(lambda: _listens(port))
        yield child.pid
    finally:
        child.end()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


def resident_bytes(pid: int) -> int:
    """Resident memory of the process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(pid: int) -> float:
    """CPU time that the process has used so far, in user and kernel mode, to the nanosecond: of all its threads, ended
    ones too. Source: clock_getcpuclockid(3), whose ids on Linux are made so.
    """  # noqa: D205 - one sentence
    return time.clock_gettime(~pid << 3 | _CLOCK_OF_PROCESS)
