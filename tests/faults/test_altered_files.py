"""Whatever happens to the files of a SQLite store while a registry runs: what was acknowledged is there, or refused."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import Measured
from tests.support.registry_process import RegistryProcess
from tests.support.server_process import until

pytestmark = pytest.mark.servers

NAMES = [f"n{number}" for number in range(20)]


def replace_directory(directory: Path) -> Callable[[], None]:
    """As a volume that was mounted over it."""
    directory.rename(directory.with_name("away"))
    directory.mkdir()

    def put_back() -> None:
        shutil.rmtree(directory)
        directory.with_name("away").rename(directory)

    return put_back


def put_in_place(name: str) -> Callable[[Path], Callable[[], None]]:
    """A directory where SQLite, or we, want a file."""

    def alter(directory: Path) -> Callable[[], None]:
        path = directory / name
        path.rename(directory / "away")
        path.mkdir()

        def put_back() -> None:
            path.rmdir()
            (directory / "away").rename(path)

        return put_back

    return alter


@pytest.mark.parametrize(
    "alter",
    [replace_directory, put_in_place("nodes.db"), put_in_place("nodes.db-journal")],
    ids=["directory replaced", "database away", "journal is a directory"],
)
def test_files_that_others_alter(
    new_registry: Callable[..., RegistryProcess],
    tmp_path: Path,
    alter: Callable[[Path], Callable[[], None]],
) -> None:
    """Writes are refused meanwhile, or kept; reads go on; after kill -9 all that was acknowledged is there."""
    directory = tmp_path / "data"
    directory.mkdir()
    registry = new_registry(store=f"sqlite:///{directory}/nodes.db").start()
    for name in NAMES:
        assert registry.register(name=name) == 201
    put_back = alter(directory)
    acknowledged = [name for name in ("x", "y", "z") if registry.register(name=name) == 201]
    assert set(registry.nodes()) == {*NAMES, *acknowledged}
    put_back()
    registry.kill()
    registry.start()
    until(lambda: set(registry.nodes()), {*NAMES, *acknowledged})
    assert registry.register(name="later") == 201


def put_older_copy(path: Path, older: bytes) -> None:
    """As somebody restores a backup, and forgets to stop the registry."""
    with path.open("r+b") as file:
        file.write(older)
        file.truncate()


def overwrite_pages(path: Path, _: bytes) -> None:
    """Junk over all but the first page."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (size - 4096))


def empty(path: Path, _: bytes) -> None:
    """As a disk that was full, or a `>` too many."""
    path.open("wb").close()


def put_no_database(path: Path, _: bytes) -> None:
    """Another file was copied over it."""
    path.write_text("junk\n" * 10_000)


def remove_rows(path: Path, _: bytes) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection:
        connection.execute("DELETE FROM nodes WHERE name >= 'n1'")


def remove_transitions(path: Path, _: bytes) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection:
        connection.execute("DELETE FROM transitions")


@pytest.mark.parametrize(
    "alter", [put_older_copy, overwrite_pages, empty, put_no_database, remove_rows, remove_transitions]
)
def test_what_others_take_from_the_file_is_written_again(
    new_registry: Callable[..., RegistryProcess], tmp_path: Path, alter: Callable[[Path, bytes], None]
) -> None:
    """From memory, before anything more is acknowledged; after kill -9 it is all there, and what left stays away."""
    quick = {"thresholds": {"heartbeat_interval": "500ms", "warning_after": "2s", "offline_after": "3s"}}
    registry = new_registry(store=f"sqlite:///{tmp_path}/nodes.db", settings=quick).start()
    for name in NAMES[:10]:
        until(partial(registers, registry, name), expected=True)
    older = (tmp_path / "nodes.db").read_bytes()
    for name in NAMES[10:]:
        until(partial(registers, registry, name), expected=True)
    # Each of them, on a disk that is busy, perhaps not at once.
    until(lambda: registry.ask("DELETE", "/nodes/n5").status_code in {204, 404}, expected=True)
    until(lambda: {registry.statuses()[name] for name in ("n1", "n19")}, {"offline"})
    alter(tmp_path / "nodes.db", older)
    for name in ("x", "y", "z"):
        until(partial(registers, registry, name), expected=True)
    before = set(registry.nodes()), registry.transitions("n1")
    registry.kill()
    registry.start()
    assert before == ({*NAMES, "x", "y", "z"} - {"n5"}, [("active", "warning"), ("warning", "offline")])
    assert (set(registry.nodes()), registry.transitions("n1")) == before
    assert registry.statuses()["n1"] == "offline"


def registers(registry: RegistryProcess, name: str) -> bool:
    """Whether it takes a registration now."""
    return registry.register(name=name) in {200, 201}


def test_another_database_over_the_file_is_put_aside(
    new_registry: Callable[..., RegistryProcess], tmp_path: Path, measured: Measured
) -> None:
    """Two registries' files are mixed up: neither gets nodes of the other, and nothing is lost of either."""
    registries = [new_registry(store=f"sqlite:///{tmp_path}/{name}.db").start() for name in ("a", "b")]
    for number, registry in enumerate(registries):
        until(partial(registers, registry, f"of-{number}"), expected=True)
    registries[1].stop()
    shutil.copyfile(tmp_path / "b.db", tmp_path / "a.db")
    with measured("back"):
        until(partial(registers, registries[0], "x"), expected=True)
    assert "put aside" in registries[0].log
    registries[0].kill()
    registries[0].start()
    assert list(registries[0].nodes()) == ["of-0", "x"]
    # What was copied there is kept, and the registry whose it is may have it.
    (aside,) = tmp_path.glob("a.db-damaged-*[0-9]")
    registries[0].stop()
    aside.rename(tmp_path / "b.db")
    (tmp_path / "b.db-seal").unlink()
    registries[1].start()
    assert list(registries[1].nodes()) == ["of-1"]


def test_a_file_that_is_copied_over_again_and_again(
    new_registry: Callable[..., RegistryProcess], tmp_path: Path
) -> None:
    """At any moment, while it is written to: what is acknowledged is there after kill -9, or a start refuses it."""
    quick = {"thresholds": {"heartbeat_interval": "500ms", "warning_after": "2s", "offline_after": "3s"}}
    path = tmp_path / "nodes.db"
    registry = new_registry(store=f"sqlite:///{path}", settings=quick).start()
    older = b""
    acknowledged: set[str] = set()
    for number in range(40):
        if registry.register(name=f"n{number}") == 201:
            acknowledged.add(f"n{number}")
        if number == 10:
            older = path.read_bytes()
        if number > 10 and number % 5 == 0:
            put_older_copy(path, older)
    until(partial(registers, registry, "last"), expected=True)
    registry.kill()
    registry.start()
    assert set(registry.nodes()) == {*acknowledged, "last"}
