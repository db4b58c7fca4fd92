"""Connections of TLS: each counts from its first byte, and its handshake has an end."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable

from uvicorn.server import ServerState

from exporter.api.connections import ConnectionLimits, source_of
from exporter.api.protocol import DeadlineProtocol
from exporter.domain.clock import SECOND

PATIENCE_SECONDS = 60.0
"""Of a trusted peer's handshake: after a restart, thousands begin at the same moment."""
AT_ONCE = 64
"""Connections that are accepted before the loop serves its other sockets."""
PAUSE_SECONDS = 1.0
"""The pause before the next connection is accepted when no file can be opened."""
log = logging.getLogger("aurora.web")


class SecuredProtocol(DeadlineProtocol):
    """As its base, once the handshake is done."""

    handshake: Handshake | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """From here on this counts, and the handshake does not."""
        if self.handshake is not None:
            self.handshake.leave()
        super().connection_made(transport)


class Handshake:
    """One connection before TLS is agreed on, as ConnectionLimits count it."""

    def __init__(self, source: str, shared: ConnectionLimits, *, trusted: bool) -> None:
        self.source = source
        self.trusted = trusted
        self.task: asyncio.Task[None] | None = None
        self._shared = shared
        self._counts = True

    def leave(self) -> None:
        """It is over."""
        if self._counts:
            self._counts = False
            self._shared.leave(self)

    def close_idle(self) -> None:
        """Make room for another connection."""
        self.leave()
        if self.task is not None:
            self.task.cancel()


class SecuredListener:
    """Accepts connections, if there is room, and begins their handshakes.

    The event loop's own servers count nothing before a handshake is done, and wait a minute for it. One that finds no
    room is closed without an answer: its peer could not read one.
    """

    def __init__(
        self,
        listening: socket.socket,
        protocol: Callable[[], SecuredProtocol],
        context: ssl.SSLContext,
        state: ServerState,
    ) -> None:
        """`protocol`: makes that of the next connection."""
        listening.setblocking(False)  # noqa: FBT003 - as the standard library has it
        self._listening = listening
        self._protocol = protocol
        self._context = context
        self._shared = ConnectionLimits.of(state)
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._again: asyncio.TimerHandle | None = None
        self._begin()

    def close(self) -> None:
        """Stop accepting, and end handshakes under way."""
        self._loop.remove_reader(self._listening.fileno())
        if self._again is not None:
            self._again.cancel()
        for task in self._tasks:
            task.cancel()

    def _begin(self) -> None:
        self._again = None
        self._loop.add_reader(self._listening.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                connection, peer = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                log.warning("no connection can be accepted for a second", extra={"error": str(error)})
                self._loop.remove_reader(self._listening.fileno())
                self._again = self._loop.call_later(PAUSE_SECONDS, self._begin)
                return
            connection.setblocking(False)  # noqa: FBT003 - as above
            self._admit(connection, str(peer[0]))

    def _admit(self, connection: socket.socket, host: str) -> None:
        protocol = self._protocol()
        handshake = Handshake(source_of(host), self._shared, trusted=protocol.is_trusted(host))
        if self._shared.admit(handshake, protocol.limits(), protocol.refused):
            protocol.refused("connections")
            handshake.leave()
            connection.close()
            return
        protocol.handshake = handshake
        task = handshake.task = self._loop.create_task(self._run(connection, protocol, handshake))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, connection: socket.socket, protocol: SecuredProtocol, handshake: Handshake) -> None:
        seconds = PATIENCE_SECONDS if handshake.trusted else protocol.limits().receive_timeout / SECOND
        try:
            await self._loop.connect_accepted_socket(
                lambda: protocol, connection, ssl=self._context, ssl_handshake_timeout=seconds
            )
        except OSError as error:
            if not isinstance(error, ConnectionResetError):
                protocol.refused("handshake")
        except asyncio.CancelledError:
            # By ourselves alone, and nothing follows.
            pass
        finally:
            protocol.handshake = None
            handshake.leave()
