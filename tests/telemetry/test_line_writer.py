from __future__ import annotations

import contextlib
import os
import time

import pytest

from exporter.telemetry import linewriter
from exporter.telemetry.linewriter import LineWriter


@pytest.fixture
def pipe():
    """A writer's end as a stream, and the reader's descriptor."""
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream:
        yield stream, reader
        os.close(reader)


def test_lines_come_out_in_order(pipe):
    stream, reader = pipe
    lines = LineWriter(stream)

    for number in range(100):
        lines.write(f"line {number}")

    assert lines.flush(60)
    assert os.read(reader, 2**16).decode().splitlines() == [f"line {number}" for number in range(100)]


def fill(stream):
    """Write until the pipe takes no more; how many bytes that were."""
    os.set_blocking(stream.fileno(), False)
    filled = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            filled += os.write(stream.fileno(), b"-" * 4096)
    os.set_blocking(stream.fileno(), True)
    return filled


def test_nobody_waits_for_a_reader_and_what_is_dropped_is_counted(pipe, monkeypatch):
    monkeypatch.setattr(linewriter, "MAX_LINES", 10)
    stream, reader = pipe
    filled = fill(stream)
    lines = LineWriter(stream)
    lines.write("first")
    while lines._lines:
        time.sleep(0.01)

    for number in range(25):
        lines.write(f"line {number}")
    assert not lines.flush(0.01)
    assert lines.dropped == 15

    while filled:
        filled -= len(os.read(reader, min(filled, 2**16)))
    assert lines.flush(60)
    lines.write("last")
    assert lines.flush(60)
    assert os.read(reader, 2**16).decode().splitlines() == [
        "first",
        *(f"line {number}" for number in range(10)),
        'level=warning logger=aurora.log msg="log lines dropped" lines=15',
        "last",
    ]


def test_a_pipe_without_a_reader_ends_nothing():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        lines = LineWriter(stream)
        lines.write("one")
        assert lines.flush(60)
        assert lines.dropped == 1
