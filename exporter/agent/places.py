"""The files of an installed agent: where they lie, and how they are put there and removed."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import NamedTuple

SETTINGS_HEAD = (
    "# What the agent says of this node; `aurora-agent --help` names each. Edit it here, or run join again.\n"
)
COPIED = {
    "AURORA_TOKEN_FILE": ("join-token", 0o600),
    "AURORA_CA_FILE": ("ca.pem", 0o644),
    "AURORA_CERT_FILE": ("cert.pem", 0o600),
    "AURORA_KEY_FILE": ("key.pem", 0o600),
}
"""Files that a setting names are copied beside the settings, since the agent may not read the originals: the copies'
names and modes. A certificate's file may hold its key as well."""
MARK = ".aurora-agent"
"""Lies in a directory that was made by us, and may be removed as a whole."""


class Places(NamedTuple):
    """Where an agent is installed. `root`: everything lies below it, as seen from outside; elsewhere it is empty."""

    root: Path
    home: str
    settings: str
    system: bool
    """For the whole machine, not for one user."""

    @classmethod
    def of_machine(cls, root: str, prefix: str) -> Places:
        """For root, or for an image below `root`."""
        return cls(Path(root or "/"), prefix or "/opt/aurora-agent", "/etc/aurora/agent.env", system=True)

    @classmethod
    def of_user(cls, prefix: str) -> Places:
        """For the user who runs this, by the XDG base directory specification."""
        user = os.environ.get("HOME", "")
        data = os.environ.get("XDG_DATA_HOME") or f"{user}/.local/share"
        config = os.environ.get("XDG_CONFIG_HOME") or f"{user}/.config"
        return cls(Path("/"), prefix or f"{data}/aurora-agent", f"{config}/aurora/agent.env", system=False)

    @property
    def binary(self) -> str:
        """The program, as it is called."""
        return f"{self.home}/bin/aurora-agent"

    def outside(self, path: str) -> Path:
        """The path as it is seen from here."""
        return self.root / path.lstrip("/")


class FileInstaller:
    """Puts files in place, all of them or none, and knows whether any of them changed."""

    def __init__(self, places: Places, *, dry_run: bool) -> None:
        self._places = places
        self._dry_run = dry_run
        self._written: list[tuple[Path, Path]] = []
        self._directories: list[Path] = []
        self._dropped: list[str] = []
        self.changed = False

    def place(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """The file has this content and mode once this is committed."""
        target = self._places.outside(path)
        try:
            if target.read_bytes() == content and target.stat().st_mode & 0o777 == mode:
                return
        except OSError:
            pass
        self.changed = True
        if self._dry_run:
            print(f"would write: {target}")
            return
        self._directories += [directory for directory in target.parents if not directory.exists()]
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_name(f"{target.name}.new")
        self._written.append((fresh, target))
        descriptor = os.open(str(fresh), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode & 0o600)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(target)) from None  # a full disk names no file
        fresh.chmod(mode)

    def commit(self) -> None:
        """Put what was written in its place."""
        for fresh, target in self._written:
            fresh.replace(target)
            print(f"wrote {target}")
        self._written.clear()
        for path in self._dropped:
            self.remove(path)

    def drop(self, path: str) -> None:
        """The file is not there once this is committed."""
        self._dropped.append(path)

    def discard(self) -> None:
        """Remove what was written and not committed, and the directories that were made for it."""
        for fresh, _ in self._written:
            with contextlib.suppress(OSError):
                fresh.unlink()
        for directory in sorted(self._directories, reverse=True):
            with contextlib.suppress(OSError):  # others have something in it
                directory.rmdir()

    def remove(self, path: str) -> None:
        """The file is not there from now on."""
        target = self._places.outside(path)
        if not target.exists():
            return
        if self._dry_run:
            print(f"would remove: {target}")
            return
        target.unlink()
        print(f"removed {target}")

    def remove_home(self) -> None:
        """All that lies where the agent was installed, if that directory was made by us."""
        home = self._places.outside(self._places.home)
        if not home.exists():
            return
        if not (home / MARK).exists():
            print(f"{home} was not made by join: it stays")
        elif self._dry_run:
            print(f"would remove: {home}")
        else:
            shutil.rmtree(home)
            print(f"removed {home}")


def read_settings(path: Path) -> dict[str, str]:
    """The settings of a file as systemd reads it: AURORA_NAME=value, one a line; empty where there is no such file."""
    settings = {}
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    for line in lines:
        name, separator, value = line.strip().partition("=")
        if separator and name.startswith("AURORA_"):
            quoted = len(value) > 1 and value[0] == value[-1] == '"'
            settings[name] = value[1:-1].replace('\\"', '"').replace("\\\\", "\\") if quoted else value
    return settings


def write_settings(settings: dict[str, str]) -> bytes:
    """The file's content."""
    lines = []
    for name in sorted(settings):
        value = settings[name]
        if any(letter in value for letter in " \"'\\#;$"):
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            value = f'"{escaped}"'
        lines.append(f"{name}={value}\n")
    return (SETTINGS_HEAD + "".join(lines)).encode()
