"""A real Redis (or Sentinel) on a free loopback port, ended by its process id."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis

from demo.ports import free_port

DEADLINE_SECONDS = 20.0
SLOW_KEYS = 1_000


class RedisServer:
    """One server process: `with RedisServer("--maxmemory", "2mb") as server`, or `start` and `close` by hand.

    Nothing is written to disk unless the arguments say so (`--appendonly yes`); its directory outlives `restart`.
    `sentinel=True` runs the file `redis.conf` that the test wrote into `directory` as a Sentinel's.
    """

    def __init__(
        self,
        *arguments: str,
        password: str = "",
        sentinel: bool = False,
        program: str = "redis-server",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.program = program
        self.arguments = arguments
        self.password = password
        self.sentinel = sentinel
        self.environment = {**os.environ, **(environment or {})}
        self.port = free_port()
        self.directory = Path(tempfile.mkdtemp(prefix="aurora-redis-"))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where clients find it, with the password that it was given."""
        login = f":{self.password}@" if self.password else ""
        return f"redis://{login}127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        """The running process."""
        assert self._process is not None, "the server is not running"
        return self._process.pid

    def start(self) -> None:
        """Start, and return once it answers. A port that was taken meanwhile is changed for another."""
        for _ in range(5):
            self._process = subprocess.Popen(
                self._command(), env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            if self._answers():
                return
            self.port = free_port()
        raise RuntimeError(f"{self._command()} did not start")

    def stop(self) -> None:
        """End it cleanly (SIGTERM); a dump is written if the arguments ask for one."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut would (SIGKILL)."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Let it hang (SIGSTOP): connections are accepted, nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on (SIGCONT)."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def restart(self) -> None:
        """Kill it and start it again on the same port and directory: empty, unless it kept its data on disk."""
        self.kill()
        self.start()

    def restart_slowly(self, seconds: float) -> None:
        """Kill it with what it has, and start it again, without waiting: it loads its data for about so long."""
        with redis.Redis(port=self.port, password=self.password or None) as client:
            with client.pipeline(transaction=False) as pipeline:
                for number in range(SLOW_KEYS):
                    pipeline.set(f"slow:{number}", "x" * 200)
                pipeline.execute()
            client.save()
        self.kill()
        # It looks after its clients between kilobytes of the dump.
        slow = (
            "--key-load-delay",
            f"{seconds * 1e6 / SLOW_KEYS:.0f}",
            "--loading-process-events-interval-bytes",
            "1024",
        )
        command = [*self._command(), *slow]
        self._process = subprocess.Popen(
            command, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def close(self) -> None:
        """End it if it runs, and remove its directory."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def cli(self, *command: str | int) -> Any:
        """The answer to one command, over a connection of its own; text is decoded."""
        with redis.Redis(port=self.port, password=self.password or None, decode_responses=True) as client:
            return client.execute_command(*command)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _command(self) -> list[str]:
        common = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory)]
        if self.sentinel:
            return ["redis-sentinel", str(self.directory / "redis.conf"), *common, *self.arguments]
        login = ["--requirepass", self.password] if self.password else []
        # Under a clock that was set back, the thread of its allocator would spin, with a core of its own.
        quiet = ["--save", "", "--appendonly", "no", "--jemalloc-bg-thread", "no"]
        return [self.program, *common, *quiet, *login, *self.arguments]

    def _answers(self) -> bool:
        """Whether it came up; False when the process ended instead."""
        assert self._process is not None
        deadline = time.monotonic() + DEADLINE_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                # A dump that is still being read answers LOADING: not up yet.
                with redis.Redis(port=self.port, password=self.password or None, socket_timeout=1) as client:
                    if client.ping() and client.info("server")["process_id"] == self._process.pid:
                        return True
            except redis.RedisError:
                time.sleep(0.01)
        self._end(signal.SIGKILL)
        return False

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(number)
        self._process.wait(DEADLINE_SECONDS)
        self._process = None
