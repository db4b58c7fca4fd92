from __future__ import annotations

import os
import threading

import pytest

from exporter.telemetry import linewriter
from exporter.telemetry.linewriter import LineWriter


@pytest.fixture
def pipe():
    """A writer's end as a stream, and the reader's descriptor."""
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream:
        yield stream, reader
        drain = threading.Thread(target=os.read, args=(reader, 2**20), daemon=True)
        drain.start()
    os.close(reader)


def test_lines_come_out_in_order(pipe):
    stream, reader = pipe
    lines = LineWriter(stream)

    for number in range(100):
        lines.write(f"line {number}")

    assert lines.flush(60)
    assert os.read(reader, 2**16).decode().splitlines() == [f"line {number}" for number in range(100)]


def test_nobody_waits_for_a_reader_and_what_is_dropped_is_told(pipe, monkeypatch):
    monkeypatch.setattr(linewriter, "MAX_LINES", 10)
    stream, reader = pipe
    lines = LineWriter(stream)

    written = 0
    while lines.flush(0.1):
        lines.write("x" * 1000)
        written += 1
    for _ in range(100):
        lines.write("y" * 1000)
    assert not lines.flush(0.01)
    dropped = lines.dropped
    assert 90 <= dropped < 100

    read = bytearray()
    while not lines.flush(0.01):
        read += os.read(reader, 2**16)
    lines.write("the end")
    while not read.endswith(b"the end\n"):
        read += os.read(reader, 2**16)
    got = read.decode().splitlines()
    assert len(got) == written + 100 - dropped + 2
    assert got[-2] == f'level=warning logger=aurora.log msg="log lines dropped" lines={dropped}'


def test_a_pipe_without_a_reader_ends_nothing():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        lines = LineWriter(stream)
        lines.write("one")
        assert lines.flush(60)
        assert lines.dropped == 1
