"""Accepts connections of TLS, if there is room, and begins their handshakes."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from functools import partial

from uvicorn.server import ServerState

from exporter.api.connections import ConnectionLimits, source_of
from exporter.api.handshakes import Handshake
from exporter.api.handshaketurns import HandshakeTurns
from exporter.api.protocol import DeadlineProtocol
from exporter.domain.clock import SECOND

PATIENCE_SECONDS = 60.0
"""Of a trusted peer's handshake: after a restart, thousands begin at the same moment."""
AT_ONCE = 16
"""Connections that are accepted before the loop serves its other sockets."""
PAUSE_SECONDS = 1.0
"""The pause before the next connection is accepted when no file can be opened."""
log = logging.getLogger("aurora.web")


class SecuredListener:
    """Accepts connections, if there is room, and begins their handshakes.

    The event loop's own servers count nothing before a handshake is done, and wait a minute for it. One that finds no
    room is closed without an answer: its peer could not read one.
    """

    def __init__(
        self,
        listening: socket.socket,
        protocol: Callable[[], DeadlineProtocol],
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
        self._turns = HandshakeTurns(self._loop)
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
        limits, trusted = protocol.limits(), protocol.is_trusted(host)
        handshake = Handshake(connection, source_of(host), self._shared, self._turns, trusted=trusted)
        if self._shared.admit(handshake, limits, protocol.refused):
            protocol.refused("connections")
            handshake.close_idle()
            return
        deadline = self._loop.time() + (PATIENCE_SECONDS if trusted else limits.receive_timeout / SECOND)
        handshake.wait(partial(self._run, handshake, protocol, deadline))

    def _run(self, handshake: Handshake, protocol: DeadlineProtocol, deadline: float) -> asyncio.Task[None]:
        async def run() -> None:
            try:
                await handshake.run(self._context, protocol, deadline)
            except OSError as error:
                if not isinstance(error, ConnectionResetError):
                    protocol.refused("handshake")
            except asyncio.CancelledError:
                # By ourselves alone, and nothing follows.
                pass

        task = self._loop.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
