"""A server program as a process of its own: started, watched, stopped by its process id, and its log kept."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import requests

from demo.ports import free_port

DEADLINE_SECONDS = 30.0
POLL_SECONDS = 0.05


class ServerProcess:
    """A server on a free loopback port, which stays the same over restarts. Close it, or use it as a context."""

    opened: ClassVar[list[ServerProcess]] = []
    """Those that were started and not closed yet: a failing test shows their logs."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.directory = directory
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.patience = DEADLINE_SECONDS
        """So long it may take until it is ready."""
        self._log = directory / f"{name}-{self.port}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> Sequence[str | Path]:
        """The command line."""
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        """The whole environment."""
        return os.environ

    def start(self, *, ready: str = "/-/ready") -> Self:
        """Start, and return once the path is answered with 200."""
        assert self._process is None, f"{self.name} runs already"
        self.directory.mkdir(parents=True, exist_ok=True)
        if self not in ServerProcess.opened:
            ServerProcess.opened.append(self)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                list(map(str, self.command())),
                cwd=self.directory,
                env=dict(self.environment()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until(lambda: self._answers(ready), expected=True, within=self.patience)
        return self

    def stop(self) -> int:
        """Ask it to end (SIGTERM); its exit status."""
        return self.end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut would (SIGKILL)."""
        self.end(signal.SIGKILL)

    def end(self, number: signal.Signals) -> int:
        """Send the signal and wait for the end; the exit status, negative for a signal."""
        process = self._running()
        process.send_signal(number)
        status = process.wait(DEADLINE_SECONDS)
        self._process = None
        return status

    def signal(self, number: signal.Signals) -> None:
        """Send a signal that it survives, such as SIGSTOP, SIGCONT or SIGHUP."""
        self._running().send_signal(number)

    def close(self) -> None:
        """End it if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(DEADLINE_SECONDS)
            self._process = None
        if self in ServerProcess.opened:
            ServerProcess.opened.remove(self)

    @property
    def process_id(self) -> int:
        """Of the process that runs."""
        return self._running().pid

    @property
    def log(self) -> str:
        """All that it wrote, on both outputs."""
        return self._log.read_text(errors="replace")

    def get(self, path: str, **keywords: Any) -> requests.Response:
        """Its answer to a GET."""
        return self.ask("GET", path, **keywords)

    def ask(self, method: str, path: str, **keywords: Any) -> requests.Response:
        """Its answer to a request, over a connection of its own."""
        return requests.request(method, self.url + path, **{"timeout": DEADLINE_SECONDS, **keywords})

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, f"{self.name} does not run"
        return self._process

    def _answers(self, path: str) -> bool:
        status = self._running().poll()
        assert status is None, f"{self.name} ended with {status}:\n{self.log}"
        return self.get(path).ok


def until(read: Callable[[], object], expected: object, *, within: float = DEADLINE_SECONDS) -> None:
    """Read until the expected value comes; AssertionError shows the last one. A refused connection is waited out."""
    deadline = time.monotonic() + within
    while True:
        late = time.monotonic() > deadline
        try:
            value = read()
            if value == expected:
                return
            assert not late, f"expected {expected!r} within {within:g} s, last got {value!r}"
        except OSError:
            if late:
                raise
        time.sleep(POLL_SECONDS)
