"""The Pythons of this machine, from 3.9 on: one of each version."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

OLDEST, NEWEST = 9, 15
FETCHED = Path(__file__).parents[2] / ".cache" / "pythons"
"""By `scripts/newest-pythons`."""


def _found() -> Iterator[Path]:
    yield Path(sys.executable)
    for minor in range(OLDEST, NEWEST + 1):
        candidates = [
            shutil.which(f"python3.{minor}"),
            *Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python"),
            *FETCHED.glob(f"3.{minor}/usr/bin/python3.{minor}"),
        ]
        if minor != sys.version_info.minor:
            # One that is on the path may be no more than a name for one that is not there.
            yield from [Path(path) for path in candidates if path and _runs(path)][:1]


def _runs(path: str | Path) -> bool:
    return subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0


PYTHONS = tuple(_found())
