"""Whatever happens to the files of a SQLite store while a registry runs: what was acknowledged is there, or refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
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
    started = registry.run() if acknowledged and alter is overwrite_pages else None
    if started is not None:
        # What was acknowledged went the way of the file that was put back: that is noticed.
        assert "cannot be used" in started.stderr
        return
    registry.start()
    until(lambda: set(registry.nodes()), {*NAMES, *acknowledged})
    assert registry.register(name="later") == 201
