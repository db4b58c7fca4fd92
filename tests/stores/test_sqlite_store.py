from __future__ import annotations

import os
import sqlite3
import stat
from itertools import groupby
from pathlib import Path

import pytest

from exporter.domain.errors import StoreRefused, StoreUnavailable
from exporter.stores.base import Batch, Mark, Saved, overlook
from exporter.stores.sqlite import SqliteStore
from tests.support.durables import NOW, heartbeats, record, stored, tombstone, transition

WAY_OUT = "restore a backup, or move the file and its -seal aside to start empty"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "aurora.db"


@pytest.fixture
def open_sqlite(path, opened):
    """Opens stores on the one file."""

    def make(at=path, on_rejected=overlook):
        store = SqliteStore(at)
        store.on_rejected = on_rejected
        return opened(store, load=False)

    return make


@pytest.fixture
def filled(open_sqlite, run, path):
    """A closed file with one row of everything, and more nodes than one page holds."""
    store = open_sqlite()
    records = {f"n{number:03}": record(f"n{number:03}", os="x" * 200) for number in range(200)}
    run(store.save(Batch(records, {"gone": tombstone("gone")}, [], {"n000": heartbeats(1)}, Mark(NOW))))
    run(store.save(Batch(transitions=[transition("n000", at=2)])))
    run(store.close())
    return path


def refusal(open_sqlite, run, *at):
    """Why the file is refused, by `open` or by `load`."""
    with pytest.raises(StoreRefused) as caught:
        run(open_sqlite(*at).load())
    return str(caught.value)


def change(path, statement, *values):
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(statement, values)
    connection.close()


def test_a_missing_file_is_created(open_sqlite, run, path):
    """Whole at once, complete without a log beside it, with our mark in its header."""
    run(open_sqlite().close())

    connection = sqlite3.connect(path)
    answers = [
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "application_id", "user_version")
    ]
    connection.close()
    assert answers == ["delete", 0x4155524F, 2]
    assert sorted(found.name for found in path.parent.iterdir()) == [
        "aurora.db",
        "aurora.db-journal",
        "aurora.db-lock",
        "aurora.db-seal",
    ]


def test_a_creation_that_was_cut_off_is_begun_again(open_sqlite, run, path):
    path.with_name("aurora.db-new").write_bytes(b"")

    assert run(open_sqlite().load()).nodes == []


def test_what_was_saved_outlives_the_store(open_sqlite, run):
    store = open_sqlite()
    run(store.save(Batch({"a": record()}, heartbeats={"a": heartbeats(3)}, mark=Mark(NOW + 4))))
    before = run(store.load())
    run(store.close())

    assert before.nodes == [stored(record(), 3)]
    assert run(open_sqlite().load()) == before


def test_a_second_registry_on_one_file_is_refused(open_sqlite, run, path):
    """Until the first one lets go."""
    first = open_sqlite()

    assert refusal(open_sqlite, run) == (
        f"the store {path} cannot be used: another registry uses it: "
        "stop that one, or give each its own file (or all of them one Redis)"
    )

    run(first.save(Batch({"a": record()})))
    run(first.close())
    assert run(open_sqlite().load()).nodes == [stored(record())]


def test_the_file_can_be_backed_up_while_in_use(open_sqlite, run, path, tmp_path):
    """Another program may read it: `.backup` of SQLite's own shell, for one."""
    store = open_sqlite()
    run(store.save(Batch({"a": record()})))
    source, target = sqlite3.connect(path), sqlite3.connect(tmp_path / "backup.db")
    source.backup(target)
    source.close()
    target.close()

    assert run(open_sqlite(tmp_path / "backup.db").load()).nodes == [stored(record())]


def test_a_file_of_zero_bytes_is_refused(open_sqlite, run, path):
    path.touch()

    assert refusal(open_sqlite, run) == (
        f"the store {path} cannot be used: it has zero bytes, so what was in it is lost: {WAY_OUT}"
    )
    assert path.stat().st_size == 0


@pytest.mark.parametrize("content", [b"nodes: []\n" * 50, b"x", bytes(4096)])
def test_a_file_that_is_no_database_is_refused(open_sqlite, run, path, content):
    path.write_bytes(content)

    assert refusal(open_sqlite, run) == (
        f"the store {path} cannot be used: it is no SQLite database: "
        "name another file, restore a backup, or move it aside"
    )
    assert path.read_bytes() == content


def test_the_database_of_another_application_is_refused_and_not_touched(open_sqlite, run, path):
    change(path, "CREATE TABLE nodes (name TEXT)")
    before = path.read_bytes()

    assert refusal(open_sqlite, run) == (
        f"the store {path} cannot be used: it is the database of another application: name another file"
    )
    assert path.read_bytes() == before


def test_a_file_of_a_newer_version_is_refused(open_sqlite, run, filled):
    change(filled, "PRAGMA user_version = 3")

    assert refusal(open_sqlite, run) == (
        f"the store {filled} cannot be used: a newer version of the registry wrote it (format 3, this one knows 2): "
        "install that version again, or restore a backup"
    )


@pytest.mark.parametrize("keep", [1, 16, 99, 100, 4096, 5000, -4096, -1])
def test_a_truncated_file_is_refused(open_sqlite, run, filled, keep):
    """Wherever it was cut."""
    filled.write_bytes(filled.read_bytes()[:keep])

    reason = refusal(open_sqlite, run)

    assert reason.startswith(f"the store {filled} cannot be used: ")
    assert reason.endswith(WAY_OUT)


@pytest.mark.parametrize("keep", [99, 4096, -1])
def test_a_file_that_is_refused_is_closed(run, filled, keep):
    """At once, and not when the error that has it on its way is forgotten."""
    filled.write_bytes(filled.read_bytes()[:keep])
    store = SqliteStore(filled)
    with pytest.raises(StoreRefused) as caught:
        run(store.open())
    run(store.close())
    assert str(filled) not in {os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()}, caught


@pytest.mark.parametrize(
    ("table", "key"),
    [("nodes", "n000"), ("tombstones", "gone"), ("heard", "n000"), ("transitions", "n000"), ("mark", 1)],
)
def test_a_row_whose_checksum_does_not_match_is_refused_by_name(open_sqlite, run, filled, table, key):
    change(filled, f"UPDATE {table} SET checksum = checksum + 1 WHERE {'id' if key == 1 else 'name'} = ?", key)

    assert refusal(open_sqlite, run) == (
        f"the store {filled} cannot be used: the checksum of {key!r} in its table {table} does not match: {WAY_OUT}"
    )


@pytest.mark.parametrize(
    ("table", "changed"),
    [
        ("nodes", "record = '{}'"),
        ("nodes", "revision_ns = 5"),
        ("heard", "last_seen_ns = 5"),
        ("heard", "transport = 'pigeon'"),
        ("transitions", "to_status = 'offline'"),
    ],
)
def test_a_value_that_was_changed_is_refused(open_sqlite, run, filled, table, changed):
    change(filled, f"UPDATE {table} SET {changed} WHERE name = 'n000'")

    assert f"the checksum of 'n000' in its table {table} does not match" in refusal(open_sqlite, run)


def test_any_flipped_bit_of_a_record_is_noticed(open_sqlite, run, filled):
    """Where SQLite itself sees nothing wrong."""
    content = bytearray(filled.read_bytes())
    position = content.index(b'"os":"xxxx') + 6
    content[position] ^= 1
    filled.write_bytes(content)

    assert "in its table nodes does not match" in refusal(open_sqlite, run)


def test_flipped_bits_anywhere_are_refused_or_harmless(open_sqlite, run, filled):
    """Each of 40 spots: refused, or all nodes are there as they were."""
    whole = filled.read_bytes()
    store = open_sqlite()
    before = run(store.load())
    run(store.close())
    refused = 0
    for spot in range(40):
        content = bytearray(whole)
        content[spot * len(content) // 40 + spot] ^= 0x10
        filled.write_bytes(content)
        store = SqliteStore(filled)
        try:
            run(store.open())
            assert run(store.load()) == before
        except StoreRefused:
            refused += 1
        finally:
            run(store.close())
    assert refused > 20


def test_a_row_that_cannot_be_read_is_set_aside(open_sqlite, run):
    """Its checksum is right: a version that we do not know wrote it."""
    rejected: list[tuple[str, str]] = []
    store = open_sqlite(on_rejected=lambda where, reason, _: rejected.append((where, reason)))
    run(store.save(Batch({"n001": record("n001")})))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("exporter.stores.sqliterows._encode", lambda _: b'{"registration": 1}')
        run(store.save(Batch({"n000": record("n000")})))

    assert [node.record.name for node in run(store.load()).nodes] == ["n001"]
    assert rejected == [("'n000' in nodes", "unreadable")]


def test_a_table_that_is_missing_is_refused(open_sqlite, run, filled):
    change(filled, "DROP TABLE heard")

    assert refusal(open_sqlite, run) == (
        f"the store {filled} cannot be used: it is damaged (no such table: heard): {WAY_OUT}"
    )


def test_a_directory_is_refused(open_sqlite, run, tmp_path):
    assert refusal(open_sqlite, run, tmp_path) == (
        f"the store {tmp_path} cannot be used: it is a directory: name a file in it"
    )


def test_what_is_no_file_is_refused_and_not_waited_for(open_sqlite, run, tmp_path):
    """Opening a pipe would wait for its other end; nothing is written beside a device."""
    pipe, device, circle = tmp_path / "pipe", tmp_path / "device", tmp_path / "circle"
    os.mkfifo(pipe)
    device.symlink_to("/dev/null")
    circle.symlink_to(tmp_path / "circle")
    for path, reason in (
        (pipe, "it is no regular file"),
        (device, "/dev/null cannot be used: it is no regular file"),
        (circle, "its symbolic links lead in a circle"),
    ):
        assert reason in refusal(open_sqlite, run, path)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["circle", "device", "pipe"]


def test_a_missing_directory_is_refused(open_sqlite, run, tmp_path):
    assert refusal(open_sqlite, run, tmp_path / "no" / "aurora.db") == (
        f"the store {tmp_path}/no/aurora.db cannot be used: the directory {tmp_path}/no does not exist: create it first"
    )


@pytest.fixture
def unprivileged():
    """Root may read and write whatever its mode says: be nobody for this test."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)


def let_in(directory):
    """Let anybody come as far as the directory: pytest closes those for temporary files, at the start of each run."""
    for each in [directory, *directory.parents]:
        if each.stat().st_mode & 0o005 != 0o005:
            each.chmod(each.stat().st_mode | 0o055)


@pytest.mark.parametrize("mode", [0, stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH])
def test_a_file_that_must_not_be_read_or_written_is_refused(open_sqlite, run, filled, request, mode):
    filled.chmod(mode)
    let_in(filled.parent)
    filled.parent.chmod(0o777)
    filled.with_name("aurora.db-lock").chmod(0o666)
    request.getfixturevalue("unprivileged")

    reason = refusal(open_sqlite, run)

    assert reason.startswith(f"the store {filled} cannot be used: ")
    assert "its mode" in reason


def test_a_directory_that_must_not_be_written_to_is_refused(open_sqlite, run, tmp_path, request):
    directory = tmp_path / "closed"
    directory.mkdir(mode=0o555)
    let_in(directory)
    request.getfixturevalue("unprivileged")

    assert refusal(open_sqlite, run, directory / "aurora.db") == (
        f"the store {directory}/aurora.db cannot be used: "
        f"{directory}/aurora.db-lock: Permission denied: check the directory's owner and mode"
    )


def test_a_file_that_another_program_locks_is_waited_for(open_sqlite, run, path):
    store = open_sqlite()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreUnavailable, match="another program holds a lock on it"):
        run(store.save(Batch({"a": record()})))

    other.execute("ROLLBACK")
    other.close()
    assert run(store.save(Batch({"a": record()}))) == Saved({"a"}, set(), [])


def test_a_file_that_was_removed_while_in_use_takes_no_more(open_sqlite, run, path):
    """What was written to it from now on would be gone with the process."""
    store = open_sqlite()
    moved = path.rename(path.with_name("moved.db"))

    with pytest.raises(StoreUnavailable, match="the file was moved or removed while in use: put it back"):
        run(store.save(Batch({"a": record()})))

    moved.rename(path)
    assert run(store.save(Batch({"a": record()}))) == Saved({"a"}, set(), [])


def test_a_store_that_is_not_open_answers_nothing(path, run):
    store = SqliteStore(path)

    for call in (store.load(), store.save(Batch()), store.transitions("a", 1)):
        with pytest.raises(StoreUnavailable, match=f"the store {path} is not open"):
            run(call)

    run(store.close())


def steps(store, run):
    """How many of SQLite's own steps it takes to find the two latest departures and transitions, about."""
    counted = []

    def look():
        store._file()._connection.set_progress_handler(lambda: counted.append(1), 10)
        found = store._file().recent(NOW, 2)
        store._file()._connection.set_progress_handler(None, 0)
        return found

    found = run(store._run(look, 10))
    assert (len(found.tombstones), len(found.transitions)) == (2, 2)
    return len(counted)


def test_what_is_recent_costs_the_same_however_much_is_kept(open_sqlite, run):
    """Else every reader could hold up the writers of a large mesh."""
    store = open_sqlite()

    def fill(numbers):
        names = [f"n{number}" for number in numbers]
        run(store.save(Batch({}, {name: tombstone(name, at=int(name[1:])) for name in names})))
        run(store.save(Batch(transitions=[transition(name, at=int(name[1:])) for name in names])))

    fill(range(20))
    few = steps(store, run)
    fill(range(20, 3_000))
    assert steps(store, run) < 2 * few


def statements(store, run, batch):
    """How many statements it takes to save the batch: one is traced again for each trigger's that it sets off."""
    traced: list[str] = []

    def save():
        store._file()._connection.set_trace_callback(traced.append)
        store._file().save(batch)
        store._file()._connection.set_trace_callback(None)

    run(store._run(save, 10))
    return len([*groupby(traced)])


def test_a_mass_change_takes_no_more_statements_than_one_node(open_sqlite, run):
    """Else its thread would wait for Python's lock thousands of times, while the event loop has much to do."""
    store = open_sqlite()
    names = [f"n{number}" for number in range(500)]
    run(store.save(Batch({name: record(name) for name in names})))

    def change(names, at, to):
        steps = [transition(name, at=at, to=to) for name in names]
        return Batch({}, {}, steps, {name: heartbeats(at) for name in names}, Mark(NOW + at))

    one = statements(store, run, change(names[:1], 1, "warning"))
    assert statements(store, run, change(names, 2, "offline")) == one
    assert {node.status for node in run(store.load()).nodes} == {"offline"}


def test_a_file_of_an_earlier_build_gets_the_index_that_it_lacks(filled, open_sqlite, run):
    """The format is the same."""
    change(filled, "DROP INDEX tombstones_by_time")
    store = open_sqlite()
    assert [each.name for each in run(store.load()).tombstones] == ["gone"]
    run(store.close())
    connection = sqlite3.connect(filled)
    indices = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
    connection.close()
    assert "tombstones_by_time" in indices
