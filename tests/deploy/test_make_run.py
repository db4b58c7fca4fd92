"""`make run` says where to look once the registry listens, and leaves nothing behind that git would see."""

from __future__ import annotations

import signal
import socket
import subprocess

import pytest

from demo.ports import free_port
from tests.support.registry_process import ROOT, clean_env, program
from tests.support.server_process import until

pytestmark = pytest.mark.servers


def start(directory, port, log):
    """The registry as the Makefile starts it, with the welcome beside it."""
    registry = " ".join(map(str, program("registry")))
    line = f"'{ROOT}/scripts/welcome' $$ & exec {registry} --web.listen-address=127.0.0.1:{port}"
    return subprocess.Popen(["bash", "-c", line], cwd=directory, env=clean_env(), stdout=log, stderr=log)


def test_the_welcome_comes_once_we_listen_with_our_port(tmp_path):
    port = free_port()
    path = tmp_path / "log"
    with path.open("w") as log, start(tmp_path, port, log) as process:
        until(lambda: f"The registry listens on port {port}." in path.read_text(), expected=True)
        until(lambda: f"--gpus 1 --registry localhost:{port}\n" in path.read_text(), expected=True)
        process.send_signal(signal.SIGTERM)
    assert process.returncode == 0


def test_there_is_no_welcome_where_another_program_listens(tmp_path):
    path = tmp_path / "log"
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        path.open("w") as log,
        start(tmp_path, taken.getsockname()[1], log) as process,
    ):
        process.wait(30)
    assert process.returncode == 1
    assert "another program does" in path.read_text()
    assert "The registry listens" not in path.read_text()


def test_what_a_registry_writes_beside_itself_is_ignored(tmp_path):
    """With the names that it has in a checkout."""
    path = tmp_path / "log"
    port = free_port()
    with path.open("w") as log, start(tmp_path, port, log) as process:
        until(lambda: "The registry listens" in path.read_text(), expected=True)
        written = [each.name for each in tmp_path.iterdir() if each != path]
        process.send_signal(signal.SIGTERM)
    written += [each.name for each in tmp_path.iterdir() if each != path]
    assert "aurora-registry.db" in written
    ignored = subprocess.run(
        ["git", "-C", ROOT, "check-ignore", "--no-index", *written], capture_output=True, text=True, check=False
    )
    assert set(ignored.stdout.split()) == set(written)
