"""What we show the registry: the join token that somebody gave us, then the token that the registry gave the node."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from exporter.agent.exits import UsageError
from exporter.agent.state import StateFile
from exporter.domain.signing import first_token, node_token

MAX_TOKEN = 4096


class Tokens:
    """The token of the next request. The file is read each time, so that it may be exchanged."""

    def __init__(self, path: str, state: StateFile) -> None:
        """Raises UsageError for a file that cannot be read, since a person is watching now and not later."""
        self._path = path
        self._state = state
        if path:
            try:
                self._read()
            except (OSError, ValueError) as error:
                raise UsageError(f"--token-file (AURORA_TOKEN_FILE): {path} cannot be used: {error}") from None

    def join(self) -> str:
        """The join token; empty where there is none."""
        try:
            return self._read() if self._path else ""
        except (OSError, ValueError):
            return ""

    def current(self) -> str:
        """The node's own token where it has one, else the join token."""
        return self._own() or self.join()

    def of_node(self, node: str) -> str:
        """The node's own token, which signs its events; empty where there is none."""
        own, join = self._own(), self.join()
        return own or (node_token(join, node) if join else "")

    def forget(self) -> bool:
        """The registry no longer accepts the node's own token; whether there is a join token to get another."""
        if not self._own() or not self.join():
            return False
        self._state.put(token="")
        return True

    def take(self, document: Mapping[str, Any]) -> None:
        """Remember the token that the registry gave the node, if it did: each further request bears it."""
        token = document.get("token")
        if isinstance(token, str) and _is_token(token):
            self._state.put(token=token)

    def _own(self) -> str:
        own = self._state.get("token")
        return own if isinstance(own, str) and _is_token(own) else ""

    def _read(self) -> str:
        text = first_token(Path(self._path).read_text(encoding="utf-8"))
        if not _is_token(text):
            raise ValueError("expected one token, and nothing else")
        return text


def _is_token(text: str) -> bool:
    """Whether it may be sent as a header's value, or a part of one."""
    return 0 < len(text) <= MAX_TOKEN and text.isascii() and text.isprintable() and " " not in text
