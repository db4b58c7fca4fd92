"""A server as a child process: started, waited for, looked after, ended by its process id. It never outlives us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from exporter.client.http import NoAnswer, fetch

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 120.0
END_SECONDS = 10.0
LAST_LINES = 15
_POLL_SECONDS = 0.05
_LEASH = ("setpriv", "--pdeathsig", "KILL", "--")
"""The kernel ends the child when the thread that started it ends, for any reason."""


class ChildFailed(Exception):
    """A server that we need ended, or did not come up; the message ends with its last words."""

    def __init__(self, what: str, log: Path) -> None:
        super().__init__(what)
        self.what = what
        self.last_lines = _last_lines(log)

    def __str__(self) -> str:
        words = "".join(f"\n  {line}" for line in self.last_lines) or "\n  (nothing)"
        return f"{self.what}. Its last words:{words}"


class Child:
    """One server. Start it from the thread that lives longest: it ends with that one."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        directory: Path,
        *,
        environment: Mapping[str, str] | None = None,
        piped: bool = False,
    ) -> None:
        """Runs in the directory, and writes `NAME.log` there; with `piped` only its standard error goes there."""
        self.name = name
        self.command = [*_LEASH, *map(str, command)]
        self.directory = directory
        self.log = directory / f"{name}.log"
        self._environment = dict(os.environ if environment is None else environment)
        self._piped = piped
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        """Of the running process."""
        return self._started().pid

    @property
    def output(self) -> IO[str]:
        """Its standard output, if it was asked to be piped."""
        output = self._started().stdout
        if output is None:
            raise ValueError(f"the output of {self.name} is in {self.log}")
        return output

    def start(self, answers: Callable[[], bool] | None = None) -> None:
        """Start it, and return once it answers; raises ChildFailed where it does not."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the programs that this package names
                self.command,
                cwd=self.directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if self._piped else log,
                stderr=log,
                text=True,
                # Ctrl-C in a terminal reaches the whole group: we get it too, and end the servers in their order.
                start_new_session=True,
            )
        self.await_that(answers or (lambda: True))

    def await_that(self, ready: Callable[[], bool]) -> None:
        """Return once it is; raises ChildFailed where the server ends or takes too long."""
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise ChildFailed(f"{self.name} was not ready within {START_SECONDS:g} s", self.log)
            time.sleep(_POLL_SECONDS)
        self.check()

    @property
    def ended(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._started().poll()

    def check(self) -> None:
        """Raise ChildFailed if it ended."""
        status = self.ended
        if status is not None:
            how = f"by signal {signal.Signals(-status).name}" if status < 0 else f"with exit status {status}"
            raise ChildFailed(f"{self.name} ended {how}", self.log)

    def reload(self) -> None:
        """Make it read its configuration again (SIGHUP)."""
        self._started().send_signal(signal.SIGHUP)

    def end(self) -> None:
        """End it cleanly, or by force where that takes too long; nothing where it does not run."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise ValueError(f"{self.name} was not started")
        return self._process


def program(name: str) -> list[str]:
    """How one of our programs is started from this checkout."""
    return [sys.executable, "-m", f"exporter.programs.{name}"]


def clean_env() -> dict[str, str]:
    """The environment for our programs: this checkout is importable, and nobody's settings are inherited."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AURORA_")}
    return {**inherited, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"}


def answers_http(url: str) -> bool:
    """Whether a GET is answered with 200."""
    try:
        return fetch(url, timeout_seconds=2).status == 200  # noqa: PLR2004 - OK
    except NoAnswer:
        return False


def _last_lines(log: Path) -> list[str]:
    return log.read_text(errors="replace").splitlines()[-LAST_LINES:]
