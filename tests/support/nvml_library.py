"""A driver's library in C, compiled for the tests, that the real pynvml loads as NVIDIA's own."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parent / "nvml" / "nvml.c"
NAME = "libnvidia-ml.so.1"


class NvmlLibrary:
    """The library in a directory of its own, and the file that says what it answers.

    It does not test that NVIDIA's own behaves so, nor that its structures are laid out as here: pynvml's are.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "driver"
        self.directory.mkdir(parents=True)
        self.answers = directory / "nvml.txt"
        self._lines: dict[str, object] = {}
        self.answer()
        self.install()

    def install(self, version: int = 550, without: Sequence[str] = ()) -> None:
        """Put the library of that driver in place, as an upgrade does; an old one is without some functions."""
        fresh = self.directory / f"{NAME}.{version}"
        library = _compiled(version)
        for function in without:
            # It has another name then: to compile a library for each takes much longer.
            name = b"\0%b\0" % function.encode()
            assert name in library
            library = library.replace(name, name.swapcase())
        fresh.write_bytes(library)
        fresh.replace(self.directory / NAME)

    def install_needing(self, library: str) -> None:
        """A library that needs another one, which is not there any more when somebody loads it."""
        other = self.directory / library
        command = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-x", "none", "-Wl,--no-as-needed"]
        for path, needed in ((other, []), (self.directory / NAME, [str(other)])):
            name = f"-Wl,-soname,{path.name}"
            subprocess.run([*command, *needed, name, "-o", str(path)], input=b"", check=True)
        other.unlink()

    def remove(self) -> None:
        """The driver is not installed any more."""
        (self.directory / NAME).unlink()

    def answer(self, **lines: object) -> None:
        """What it answers from now on, beside what it did; None ends that. `a__b` is written `a.b`; bytes as text."""
        self._lines.update({key.replace("__", "."): value for key, value in lines.items()})
        texts = [f"{key} {_written(value)}\n" for key, value in self._lines.items() if value is not None]
        fresh = self.answers.with_suffix(".new")
        fresh.write_text("".join(texts))
        fresh.replace(self.answers)

    def answer_again(self, **lines: object) -> None:
        """As `answer`, with nothing of what it answered before."""
        self._lines.clear()
        self.answer(**lines)

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs in order to find it."""
        paths = [str(self.directory), os.environ.get("LD_LIBRARY_PATH", "")]
        return {"LD_LIBRARY_PATH": ":".join(filter(None, paths)), "FAKE_NVML": str(self.answers)}


@cache
def _compiled(version: int) -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        library = Path(directory, NAME)
        command = ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", f"-DVERSION={version}", str(SOURCE)]
        subprocess.run([*command, "-o", str(library)], check=True)
        return library.read_bytes()


def _written(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
