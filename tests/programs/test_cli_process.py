from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.support.registry_process import clean_env, program


@pytest.fixture
def start(registry):
    """Starts aurora-cli as people do."""
    running = []

    def do(*argv, url="", **streams):
        process = subprocess.Popen(
            [*program("cli"), *argv],
            env=clean_env(AURORA_REGISTRY=url or registry.url),
            stdin=subprocess.DEVNULL,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams},
        )
        running.append(process)
        return process

    yield do
    for process in running:
        with process:  # which closes its pipes, and waits for its end
            process.kill()


def test_the_program_runs(registry, start, seed):
    registry.answer("/nodes", seed)
    process = start("nodes")
    out, err = process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert out.splitlines()[2] == b"runpod-tx     compute  active   10.0.0.3    2x RTX 4090"


def test_closed_standard_streams_are_no_failure(registry, seed):
    """The exit status says it all, as for a monitoring system that reads nothing else."""
    registry.answer("/nodes", seed)
    command = f"exec {shlex.join(map(str, program('cli')))} nodes <&- >&- 2>&-"
    done = subprocess.run(["sh", "-c", command], env=clean_env(AURORA_REGISTRY=registry.url), timeout=60, check=False)
    assert done.returncode == 0


def test_a_reader_that_has_seen_enough_is_no_failure(registry, start, seed):
    """`aurora-cli nodes | head`: exit status 0, and not a word."""
    node = seed["nodes"]["aurora"]
    registry.answer("/nodes", {**seed, "nodes": {str(number): node for number in range(5000)}})
    reader, writer = os.pipe()
    process = start("nodes", stdout=writer)
    os.close(writer)
    os.close(reader)
    _, err = process.communicate()
    assert (process.returncode, err) == (0, b"")


def test_a_full_disk_is_reported(registry, start, seed):
    """A table that is cut short must not look like a whole one."""
    registry.answer("/nodes", seed)
    with Path("/dev/full").open("wb") as full:
        process = start("nodes", stdout=full)
    _, err = process.communicate()
    assert (process.returncode, err) == (1, b"aurora-cli: cannot write the output: No space left on device\n")


def test_an_interrupt_while_waiting_ends_it(start):
    """Ctrl-C while the registry does not answer: 130, and no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as missing:
        process = start("stats", url=f"http://127.0.0.1:{missing.getsockname()[1]}")
        connection, _ = missing.accept()
        with connection:
            connection.recv(1)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate()
    assert (process.returncode, out, err) == (130, b"", b"")
