"""Whatever happens to the files of a SQLite store while a registry runs: what was acknowledged is there, or refused."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

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


def overwrite_pages(directory: Path) -> Callable[[], None]:
    """Junk over all but the first page, and back."""
    path = directory / "nodes.db"
    before = path.read_bytes()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (len(before) - 4096))

    def put_back() -> None:
        with path.open("r+b") as file:
            file.write(before)

    return put_back


@pytest.mark.parametrize(
    "alter",
    [replace_directory, put_in_place("nodes.db"), put_in_place("nodes.db-journal"), overwrite_pages],
    ids=["directory replaced", "database away", "journal is a directory", "pages overwritten"],
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


def remove_rows(path: Path, _: bytes) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection:
        connection.execute("DELETE FROM nodes WHERE name >= 'n1'")


def remove_transitions(path: Path, _: bytes) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection:
        connection.execute("DELETE FROM transitions")


@pytest.mark.parametrize("alter", [remove_rows, remove_transitions])
def test_what_others_take_from_the_file_is_written_again(
    new_registry: Callable[..., RegistryProcess], tmp_path: Path, alter: Callable[[Path, bytes], None]
) -> None:
    """From memory, before anything more is acknowledged; after kill -9 it is all there, and what left stays away."""
    quick = {"thresholds": {"heartbeat_interval": "500ms", "warning_after": "2s", "offline_after": "3s"}}
    registry = new_registry(store=f"sqlite:///{tmp_path}/nodes.db", settings=quick).start()
    for name in NAMES[:10]:
        assert registry.register(name=name) == 201
    older = (tmp_path / "nodes.db").read_bytes()
    for name in NAMES[10:]:
        assert registry.register(name=name) == 201
    assert registry.ask("DELETE", "/nodes/n5").status_code == 204
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
