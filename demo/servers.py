"""The server programs of this machine, in two generations: those on the PATH, and the newest that were fetched."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from demo.process import ROOT

FETCHED = ROOT / ".cache" / "servers"
"""Where `scripts/newest-servers` puts them."""


@dataclass(frozen=True, slots=True)
class Generation:
    """Programs that belong together. `directory`: where they are, None for the PATH."""

    name: str
    directory: Path | None = None

    def program(self, name: str) -> str:
        """The command for a program, such as `promtool`. One that was not fetched is taken from the PATH."""
        fetched = self.directory and self.directory / name
        return str(fetched) if fetched and fetched.exists() else name

    @property
    def available(self) -> bool:
        """Whether its Prometheus is on this machine."""
        return shutil.which(self.program("prometheus")) is not None and (
            self.directory is None or (self.directory / "complete").exists()
        )

    def versions(self) -> str:
        """What its Prometheus and Alertmanager call themselves: `Prometheus 3.5.3, Alertmanager 0.33.1`."""
        return ", ".join(
            f"{title} {version_of(self.program(name))}"
            for title, name in (("Prometheus", "prometheus"), ("Alertmanager", "prometheus-alertmanager"))
        )


INSTALLED = Generation("installed")
NEWEST = Generation("newest", FETCHED)


def newest(name: str) -> str:
    """The command for the newest version of a program that this machine has."""
    return (NEWEST if NEWEST.available else INSTALLED).program(name)


def version_of(command: str) -> str:
    """The version that a server program states, such as `3.5.3`; `?` if it states none."""
    try:
        stated = subprocess.run([command, "--version"], capture_output=True, text=True, check=False, timeout=10)  # noqa: S603 - a program that this module names
    except OSError:
        return "?"
    number = re.search(r"\d+\.\d+\.\d+", stated.stdout + stated.stderr)
    return number[0] if number else "?"
