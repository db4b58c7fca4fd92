"""Files that people name: whatever stands there, reading it ends."""

from __future__ import annotations

import os
import socket
import threading

import pytest

from exporter.auth.tokenfiles import read_tokens
from exporter.auth.webconfig import read_web_config
from exporter.configuration import inputfile
from exporter.configuration.inputfile import read_file
from exporter.configuration.loader import load
from exporter.domain.errors import Invalid

LIMIT = 100_000


@pytest.fixture
def pipe(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def test_a_file_is_read_whole(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * LIMIT)
    assert read_file(str(path), LIMIT) == b"x" * LIMIT
    with pytest.raises(Invalid, match=f"has more than {LIMIT - 1} bytes: is this the right file"):
        read_file(str(path), LIMIT - 1)


def test_what_comes_through_a_pipe_is_read_whole(pipe):
    """As from a shell's `<(...)`, which has a writer already."""
    descriptor = os.open(pipe, os.O_RDWR)

    def write():
        with os.fdopen(descriptor, "wb") as writer:
            writer.write(b"x" * LIMIT)

    thread = threading.Thread(target=write)
    thread.start()
    assert read_file(str(pipe), LIMIT) == b"x" * LIMIT
    thread.join()


@pytest.mark.parametrize(
    "read",
    [
        lambda path: read_file(path, LIMIT),
        lambda path: load(path, {}, {}),
        read_tokens,
        read_web_config,
    ],
)
def test_a_pipe_to_which_nobody_writes_is_not_waited_for(pipe, read, monkeypatch):
    """Nor is it an empty file: that would be a configuration, too."""
    monkeypatch.setattr(inputfile, "PATIENCE_SECONDS", 0.01)
    with pytest.raises(Invalid, match=r"cannot read .*/pipe: it is a pipe to which nobody writes"):
        read(pipe)
    os.close(os.open(pipe, os.O_RDWR))
    with pytest.raises(Invalid, match="nobody writes"):
        read(pipe)


def test_what_never_ends_is_too_much():
    with pytest.raises(Invalid, match="/dev/zero has more than 100000 bytes"):
        read_file("/dev/zero", LIMIT)


def test_what_is_no_file_at_all(tmp_path):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        for name, reason in (("", "Is a directory"), ("loop", "Too many levels"), ("socket", "No such device")):
            with pytest.raises(Invalid, match=f"cannot read .*: {reason}"):
                read_file(str(tmp_path / name), LIMIT)
