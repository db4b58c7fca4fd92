"""A process is killed while it saves, and a disk is full: what was acknowledged stays."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.domain.errors import StoreUnavailable
from exporter.stores.base import Batch, Saved
from exporter.stores.sqlite import SqliteStore
from exporter.stores.urls import open_store
from tests.support.durables import record, stored

ROOT = Path(__file__).parents[2]
ROUNDS = 10
pytestmark = pytest.mark.servers


@pytest.fixture(params=["sqlite", "redis"])
def url(request, tmp_path):
    if request.param == "redis":
        return request.getfixturevalue("redis_server").url
    return f"sqlite:///{tmp_path}/aurora.db"


def test_nothing_acknowledged_is_lost_when_the_process_is_killed(url, run):
    """Each node is whole or not there: with its transition and its heartbeat."""
    acknowledged = -1
    for round_ in range(ROUNDS):
        command = [sys.executable, "-m", "tests.support.store_writer", url, str(acknowledged + 1)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            for _ in range(3 + 5 * round_):
                acknowledged = int(writer.stdout.readline())
            writer.kill()
            # What it reported between the last look and its end counts as well.
            reported = writer.stdout.read().split("\n")[:-1]
            acknowledged = int(reported[-1]) if reported else acknowledged

        nodes = run(reload(url))

        names = {node.record.name for node in nodes}
        assert {f"n{number}" for number in range(acknowledged + 1)} <= names
        assert len(names) <= acknowledged + 2
        assert {node.status for node in nodes} == {"warning"}
        assert [node for node in nodes if node.last_heartbeat.last_seen_ns == node.record.registered_at_ns] == []


async def reload(url):
    store = open_store(url)
    try:
        await store.open()
        return (await store.load()).nodes
    finally:
        await store.close()


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 1 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=False, capture_output=True
        ).returncode
    ):
        pytest.skip("mounting a file system takes root")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_is_said_and_waited_for(small_disk, run, measured):
    """Old data stay; once there is room, all is well."""
    store = SqliteStore(small_disk / "aurora.db")
    run(store.open())
    run(store.save(Batch({"a": record()})))
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1024))

    for number in range(2):
        with pytest.raises(StoreUnavailable, match=r"aurora\.db failed: the disk is full: make room"):
            run(store.save(Batch({f"b{number}": record(f"b{number}", os="x" * 200) for number in range(500)})))
        assert run(store.load()).nodes == [stored(record())]

    ballast.unlink()
    with measured("back"):
        assert run(store.save(Batch({"b": record("b")}))) == Saved({"b"}, set(), [])
    assert run(store.load()).nodes == [stored(record()), stored(record("b"))]
    run(store.close())


def test_a_file_that_may_not_grow_is_said_and_waited_for(tmp_path, run):
    """The same without a disk of its own: SQLite is given a limit."""
    store = SqliteStore(tmp_path / "aurora.db")
    run(store.open())
    run(store.save(Batch({"a": record()})))
    assert store._opened is not None
    connection = store._opened._connection
    run(store._run(lambda: connection.execute("PRAGMA max_page_count = 20"), None))

    with pytest.raises(StoreUnavailable, match="the disk is full: make room"):
        run(store.save(Batch({f"b{number}": record(f"b{number}") for number in range(1_000)})))

    assert run(store.load()).nodes == [stored(record())]
    run(store._run(lambda: connection.execute("PRAGMA max_page_count = 100000"), None))
    assert run(store.save(Batch({"b": record("b")}))) == Saved({"b"}, set(), [])
    run(store.close())
