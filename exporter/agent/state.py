"""What the agent remembers over a restart. Where it cannot be kept, the agent works without it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from exporter.agent.logs import AgentLog

MAX_BYTES = 65_536


def default_directory() -> Path:
    """Systemd's StateDirectory, or the place that the XDG base directory specification has for it."""
    given = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given)
    base = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")  # noqa: PTH111 - Path's raises
    return Path(base) / "aurora-agent"


class StateFile:
    """A small JSON object in a file of its own for each registry and node, readable by us alone."""

    def __init__(self, directory: Path, log: AgentLog) -> None:
        self.directory = directory
        self._log = log
        self._path: Path | None = None
        self._known: dict[str, Any] = {}
        self._endpoint_key = ""

    def open(self, endpoint: str, node: str) -> None:
        """Take up what is known of this node at this registry."""
        self._endpoint_key = hashlib.sha256(endpoint.encode()).hexdigest()[:16]
        key = hashlib.sha256(f"{endpoint}\n{node}".encode()).hexdigest()[:16]
        self._path = self.directory / f"{key}.json"
        self._known = self._read(self._path)

    def get(self, key: str) -> Any:
        """What was put under the key; None where nothing was."""
        return self._known.get(key)

    def put(self, **values: Any) -> None:
        """Remember these, from now on."""
        if all(self._known.get(key) == value for key, value in values.items()):
            return
        self._known.update(values)
        if self._path is not None:
            self.write(self._path, json.dumps(self._known))

    def rename(self, name: str) -> str:
        """This host is called so at this registry from now on; what it was called before, if that is known."""
        path = self.directory / f"{self._endpoint_key}.name"
        try:
            before = path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            before = ""
        if before != name:
            self.write(path, name + "\n")
        return before

    def write(self, path: Path, text: str) -> bool:
        """Put a file in place, whole or not at all; whether it could be."""
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(str(fresh), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(text)
            os.replace(str(fresh), str(path))  # noqa: PTH105 - as os.open
        except OSError as error:
            with contextlib.suppress(OSError):
                fresh.unlink()
            self._log.debug("nothing can be kept for the next start", path=path, reason=error)
            return False
        return True

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            with path.open("rb") as stream:
                known = json.loads(stream.read(MAX_BYTES))
        except (OSError, ValueError, RecursionError):
            return {}
        return known if isinstance(known, dict) else {}
