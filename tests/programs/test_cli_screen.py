"""Pictures that are drawn again and again, on a real pseudo-terminal."""

from __future__ import annotations

import os
import pty
import signal
import subprocess

import pytest

from tests.support.registry_process import RegistryProcess, clean_env, program
from tests.support.server_process import until

OTHER_SCREEN, OWN_SCREEN = b"\x1b[?1049h", b"\x1b[?1049l"

pytestmark = pytest.mark.servers


@pytest.fixture
def on_a_terminal(tmp_path):
    """Starts aurora-cli on a terminal; gives the process, the keyboard, and what was drawn so far."""
    with RegistryProcess(tmp_path) as registry:
        registry.register(name="vengeance")
        ours, theirs = pty.openpty()
        drawn = bytearray()
        os.set_blocking(ours, False)

        def read():
            try:
                drawn.extend(os.read(ours, 65536))
            except (BlockingIOError, OSError):
                return bytes(drawn)
            return bytes(drawn)

        def start(*argv):
            environment = clean_env(AURORA_REGISTRY=registry.url, TERM="xterm")
            command = [*map(str, program("cli")), *argv]
            process = subprocess.Popen(command, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
            os.close(theirs)
            return process, ours, read

        yield start
        os.close(ours)


def test_q_ends_top_and_gives_the_screen_back(on_a_terminal):
    process, keyboard, read = on_a_terminal("top", "--interval=100ms")
    until(lambda: b"vengeance" in read() and b"q ends" in read(), expected=True)
    os.write(keyboard, b"q")
    assert process.wait(30) == 0
    until(lambda: OWN_SCREEN in read(), expected=True)
    assert read().startswith(OTHER_SCREEN)


def test_an_interrupt_ends_watching_and_gives_the_screen_back(on_a_terminal):
    process, _, read = on_a_terminal("nodes", "--watch=100ms")
    until(lambda: read().count(b"vengeance") > 1, expected=True)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    until(lambda: OWN_SCREEN in read(), expected=True)
    assert b"Traceback" not in read()
