"""The registry on uvicorn's own protocol, without what `exporter.api.protocol` adds: flags as `aurora-registry` has."""

from __future__ import annotations

import sys
from unittest import mock

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from exporter.programs import registry
from exporter.wiring import server


class BareProtocol(HttpToolsProtocol):
    """What the server asks of a connection at the end, and no limit."""

    def under_way(self) -> bool:
        """Nobody waits for an answer once the measuring is done."""
        return False

    def cut(self) -> None:
        """End the connection."""
        self.transport.abort()


class _Bare:
    @staticmethod
    def within(*_: object) -> type[BareProtocol]:
        """The protocol, whatever the limits."""
        return BareProtocol


if __name__ == "__main__":
    with mock.patch.object(server, "DeadlineProtocol", _Bare):
        sys.exit(registry.main())
