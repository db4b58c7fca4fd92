"""`python -m demo` as a terminal runs it: it ends as asked, and nothing outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.servers


@contextmanager
def demo(tmp_path: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """The demo in a process group of its own, its temporary files below tmp_path; its output in a file."""
    with (tmp_path / "output").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "demo", "--speed=60", "--nodes=6", "--sites=2", *arguments],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(tmp_path)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def said(tmp_path: Path) -> str:
    return (tmp_path / "output").read_text()


def children(pid: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def alive(pids: set[int]) -> set[int]:
    """Those that run; a zombie that only init has to reap does not count."""
    found = set()
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z":
            found.add(pid)
    return found


def await_that(condition: Callable[[], object], tmp_path: Path, within: float = 40.0) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, said(tmp_path)
        time.sleep(0.1)


def await_the_mesh(tmp_path: Path) -> None:
    await_that(lambda: "6 active" in said(tmp_path), tmp_path)


@pytest.mark.parametrize("whole_group", [True, False])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_in_order_on_a_signal(tmp_path: Path, number: signal.Signals, whole_group: bool) -> None:
    """A terminal signals the whole group, `kill` only the demo: both are the same to it."""
    with demo(tmp_path) as process:
        await_the_mesh(tmp_path)
        started = children(process.pid)
        assert len(started) == 5
        (os.killpg if whole_group else os.kill)(process.pid, number)
        assert process.wait(20) == 0, said(tmp_path)
    assert alive(started) == set()
    assert [path.name for path in tmp_path.iterdir()] == ["output"]
    assert "Traceback" not in said(tmp_path)
    assert said(tmp_path).endswith("All has ended; no process is left. The files are removed.\n")


def test_nothing_outlives_it_when_it_is_killed(tmp_path: Path) -> None:
    """The kernel ends the servers with it."""
    with demo(tmp_path) as process:
        await_the_mesh(tmp_path)
        started = children(process.pid)
        process.kill()
        process.wait()
        await_that(lambda: not alive(started), tmp_path, within=10)
    assert len(started) == 5


def test_it_ends_when_a_server_dies_and_says_which(tmp_path: Path) -> None:
    """With the last words of that server, and what to do."""
    with demo(tmp_path) as process:
        await_the_mesh(tmp_path)
        started = children(process.pid)
        [redis] = [pid for pid in started if b"redis-server" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        os.kill(redis, signal.SIGTERM)
        assert process.wait(20) == 1
    assert alive(started) == set()
    assert "demo: redis ended with exit status 0. Its last words:" in said(tmp_path)
    assert said(tmp_path).endswith("All else is ended. For whole logs start again with --keep DIRECTORY.\n")


def test_it_ends_by_itself_after_its_duration(tmp_path: Path) -> None:
    """As where somebody draws pictures of it."""
    with demo(tmp_path, "--duration=2s") as process:
        assert process.wait(40) == 0, said(tmp_path)


def test_a_directory_with_something_in_it_is_refused(tmp_path: Path) -> None:
    """Nothing of somebody's is overwritten."""
    (tmp_path / "mine").write_text("")
    with demo(tmp_path, f"--keep={tmp_path}") as process:
        assert process.wait(20) == 2
    assert f"{tmp_path} is there and not an empty directory: name another" in said(tmp_path)
