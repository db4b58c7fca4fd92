"""The web configuration in force, read again when it or a file that it names changes."""

from __future__ import annotations

import logging
import ssl

from exporter.auth.tokenfiles import Seen, seen, warn_if_open
from exporter.auth.webconfig import WebConfig, read_web_config
from exporter.domain.errors import Invalid

_log = logging.getLogger("aurora.auth")


class WebFile:
    """Of a path that only a restart changes; what is in it, any time, but whether there is TLS at all."""

    def __init__(self, path: str) -> None:
        """An empty path: plain HTTP, no users. Raises Invalid."""
        self._path = path
        self._complained = ""
        self._seen: dict[str, Seen | None] = {}
        self.current = self._read()

    def context(self) -> ssl.SSLContext:
        """The context for the next connection, where there is TLS."""
        assert self.current.tls is not None  # noqa: S101 - asked for only where there is
        return self.current.tls

    def refresh(self, *, force: bool = False) -> None:
        """Read it again if it changed (`force`: anyhow). What cannot be used is logged, and the old stays in force."""
        if not self._path or not (force or any(seen(path) != known for path, known in self._seen.items())):
            return
        try:
            new = self._read()
            if (new.tls is None) is not (self.current.tls is None):
                raise Invalid.of("web.config_file", "TLS was switched on or off: only a restart does that")
        except Invalid as error:
            if self._complained != str(error):
                self._complained = str(error)
                _log.error("the changed web configuration is refused, the old one stays", extra={"faults": str(error)})
            return
        self.current, self._complained = new, ""
        _log.info("the changed web configuration is in force", extra={"file": self._path})

    def _read(self) -> WebConfig:
        # Noted before it is read: a change meanwhile is noticed at the next look.
        before = {path: seen(path) for path in (self._path, *self._seen) if path}
        self._seen = before
        new = read_web_config(self._path)
        self._seen = {path: before.get(path, seen(path)) for path in new.files}
        if new.users:
            warn_if_open(self._path)
        return new
