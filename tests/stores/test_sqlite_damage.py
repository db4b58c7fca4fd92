"""Whatever happened to the files of a registry that was killed: all that was acknowledged, or a refusal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sqlite3

import pytest

from exporter.domain.errors import StoreRefused, StoreUnavailable
from exporter.stores.base import Batch, DatasetLost, Unconfirmed
from exporter.stores.sqlite import SqliteStore
from exporter.stores.sqlitefile import MAX_ASIDE
from tests.support.durables import heartbeats, record, transition

NODES = 100
FILES = ("aurora.db", "aurora.db-journal", "aurora.db-seal", "aurora.db-lock")
WAYS_OUT = ("restore a backup", "put the latest one back", "put that one back", "put it back")


def names(numbers):
    return [f"n{number:03}" for number in numbers]


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """The directory of a registry that was killed after 100 nodes; `old` has the files as they were after 50."""
    live, dead = tmp_path_factory.mktemp("live"), tmp_path_factory.mktemp("dead")

    async def fill():
        store = SqliteStore(live / "aurora.db")
        await store.open()
        await store.load()
        for count, name in enumerate(names(range(NODES)), 1):
            await store.save(Batch({name: record(name, os="x" * 200)}, {}, [transition(name)], {name: heartbeats(1)}))
            if count == NODES // 2:
                shutil.copytree(live, dead / "old")
        shutil.copytree(live, dead / "whole")
        await store.close()

    asyncio.run(fill())
    return dead


@pytest.fixture
def directory(killed, tmp_path):
    """A copy to damage."""
    return shutil.copytree(killed / "whole", tmp_path / "copy")


def found(directory, run, name="aurora.db"):
    """The names of the nodes that a registry would start with; None where it would not start."""
    store = SqliteStore(directory / name)
    try:
        run(store.open())
        return sorted(node.record.name for node in run(store.load()).nodes)
    except StoreRefused as error:
        if not any(way in str(error) for way in WAYS_OUT):
            raise
        return None
    finally:
        run(store.close())


def flip(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def test_a_registry_that_was_killed_starts_with_all(directory, run):
    assert found(directory, run) == names(range(NODES))


@pytest.mark.parametrize("part", range(40))
@pytest.mark.parametrize("file", FILES[:3])
def test_a_bit_that_flipped(directory, run, file, part):
    """Anywhere in any file: in a header, in a page, in what is unused."""
    path = directory / file
    size = path.stat().st_size
    flip(path, (size * part // 40) + (part if part < 8 else 0))

    assert found(directory, run) in (None, names(range(NODES)))


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("keep", ["nothing", "zeros", "half", "all but a page", "an older copy", "removed"])
def test_a_file_that_is_cut_or_gone(directory, run, killed, file, keep):
    path = directory / file
    content = path.read_bytes()
    match keep:
        case "removed":
            path.unlink()
        case "an older copy":
            shutil.copy(killed / "old" / file, path)
        case _:
            size = {"nothing": 0, "zeros": 0, "half": len(content) // 2, "all but a page": len(content) - 4096}[keep]
            path.write_bytes(content[: max(0, size)] + (b"\0" * len(content) if keep == "zeros" else b""))

    assert found(directory, run) in (None, names(range(NODES)))


def test_the_database_alone_holds_all(directory, run):
    for file in FILES[1:]:
        (directory / file).unlink()

    assert found(directory, run) == names(range(NODES))


def test_an_older_copy_is_refused_and_can_be_accepted(directory, run, killed):
    """By what the message says: a person decides."""
    for file in ("aurora.db", "aurora.db-journal"):
        shutil.copy(killed / "old" / file, directory / file)
    store = SqliteStore(directory / "aurora.db")
    with pytest.raises(StoreRefused, match=r"it holds less than was acknowledged \(50 changes are missing"):
        run(store.open())
    run(store.close())

    (directory / "aurora.db-seal").unlink()
    assert found(directory, run) == names(range(NODES // 2))


def test_a_database_that_is_gone_is_no_new_one(directory, run):
    (directory / "aurora.db").unlink()
    store = SqliteStore(directory / "aurora.db")
    with pytest.raises(StoreRefused, match=r"it is gone, and by aurora.db-seal there were 200 rows in it"):
        run(store.open())
    run(store.close())

    (directory / "aurora.db-seal").unlink()
    assert found(directory, run) == []


@pytest.fixture
def in_the_midst(directory, tmp_path):
    """Killed in the midst of a transaction that has written half of itself into the file already."""
    connection = sqlite3.connect(directory / "aurora.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = PERSIST")
    connection.execute("PRAGMA cache_size = 5")
    connection.execute("PRAGMA recursive_triggers = ON")
    connection.execute("BEGIN IMMEDIATE")
    for number in range(NODES):
        connection.execute("DELETE FROM nodes WHERE name = ?", (f"n{number:03}",))
        connection.execute("INSERT INTO nodes VALUES (?, 1, 1, ?, 7)", (f"m{number:03}", b"y" * 300))
    copy = shutil.copytree(directory, tmp_path / "midst")
    connection.close()
    assert (copy / "aurora.db").read_bytes() != (directory / "aurora.db").read_bytes()
    return copy


def test_half_a_transaction_is_taken_back(in_the_midst, run):
    assert found(in_the_midst, run) == names(range(NODES))


@pytest.mark.parametrize("part", range(24))
def test_half_a_transaction_whose_journal_is_damaged(in_the_midst, run, part):
    path = in_the_midst / "aurora.db-journal"
    size = path.stat().st_size
    if part < 16:
        flip(path, size * part // 16 + part % 8)
    elif part == 16:
        path.unlink()
    else:
        os.truncate(path, size * (part - 17) // 8)

    assert found(in_the_midst, run) in (None, names(range(NODES)))


@pytest.mark.parametrize("link", ["symlink", "hard link", "lock removed"])
def test_a_second_registry_is_refused_by_whatever_name(directory, run, link):
    """The lock is the database's own."""
    other = directory / "other.db"
    match link:
        case "symlink":
            other.symlink_to(directory / "aurora.db")
        case "hard link":
            other.hardlink_to(directory / "aurora.db")
        case _:
            other = directory / "aurora.db"
    first, second = SqliteStore(directory / "aurora.db"), SqliteStore(other)
    run(first.open())
    (directory / "aurora.db-lock").unlink()

    with pytest.raises(StoreRefused, match="another registry uses it"):
        run(second.open())

    run(first.load())
    run(first.save(Batch({"next": record("next")})))
    run(second.close())
    run(first.close())
    assert found(directory, run) == [*names(range(NODES)), "next"]


def save(run, store, batch):
    """On a disk that may be busy."""
    while True:
        try:
            return run(store.save(batch))
        except Unconfirmed:
            continue


def test_a_file_that_is_written_again_is_refused_until_it_is_whole(directory, run):
    """The registry was killed while it wrote what memory has in place of a damaged file."""
    path = directory / "aurora.db"
    store = SqliteStore(path)
    run(store.open())
    run(store.load())
    path.write_bytes(b"junk" * 10_000)
    with contextlib.suppress(DatasetLost, Unconfirmed):
        run(store.save(Batch({"new": record("new")})))
    assert run(store.load()).lost
    save(run, store, Batch({name: record(name) for name in names(range(NODES // 2))}))
    shutil.copytree(directory, directory / "killed")
    assert found(directory / "killed", run) is None
    save(run, store, Batch({name: record(name) for name in names(range(NODES))}))
    run(store.agreed())
    run(store.close())
    assert found(directory, run) == names(range(NODES))
    (aside,) = directory.glob("aurora.db-damaged-*[0-9]")
    assert aside.read_bytes() == b"junk" * 10_000


def test_a_disk_that_damages_one_file_after_the_other_is_not_filled(directory, run):
    path = directory / "aurora.db"
    store = SqliteStore(path)
    run(store.open())
    run(store.load())
    for number in range(MAX_ASIDE):
        (directory / f"aurora.db-damaged-{number}").touch()
    path.write_bytes(b"junk")
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="10 damaged files were put aside already: remove them"):
            save(run, store, Batch({"new": record("new")}))
    (directory / "aurora.db-damaged-0").unlink()
    with contextlib.suppress(DatasetLost, Unconfirmed):
        run(store.save(Batch({"new": record("new")})))
    assert run(store.load()).nodes == []
    run(store.close())
