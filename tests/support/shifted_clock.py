"""A wall clock that a test sets, for one process: a small library, preloaded, adds what a file says."""

from __future__ import annotations

import mmap
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")


class ShiftedClock:
    """Start the process with `environment()` added to its own; then `set` moves its clock, at once."""

    def __init__(self, directory: Path, name: str) -> None:
        self._library = directory / "shifted_clock.so"
        if not self._library.exists():
            command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(self._library), str(SOURCE), "-ldl"]
            subprocess.run(command, check=True)
        self._path = directory / f"clock-{name}"
        self._path.write_bytes(bytes(8))
        with self._path.open("r+b") as file:
            self._shift = mmap.mmap(file.fileno(), 8)

    def environment(self) -> dict[str, str]:
        """What the process must be started with."""
        return {"LD_PRELOAD": str(self._library), "SHIFTED_CLOCK": str(self._path)}

    def set(self, seconds: float) -> None:
        """From now on it is so much later there than here; earlier with a negative number."""
        self._shift[:] = round(seconds * 1e9).to_bytes(8, "little", signed=True)
