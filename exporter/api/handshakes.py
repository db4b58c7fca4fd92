"""Connections of TLS: each counts from its first byte; its handshake has an end, and makes progress in its turn."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable

from exporter.api.connections import ConnectionLimits
from exporter.api.handshaketurns import HandshakeTurns

AT_A_TIME = 16_384
"""Bytes that are read of a handshake before it is its turn again."""
COSTLY_STEPS = 2
"""Where a handshake begins, and where its first message is answered, with a signature."""


class Early(asyncio.Protocol):
    """Keeps what a peer sends right behind its handshake, until the connection's protocol is there."""

    def __init__(self) -> None:
        self._received = b""
        self._ended = False

    def data_received(self, data: bytes) -> None:
        """Keep it."""
        self._received += data

    def connection_lost(self, _: Exception | None) -> None:
        """The peer is gone."""
        self._ended = True

    def hand_over(self, transport: asyncio.Transport | None, protocol: asyncio.Protocol) -> None:
        """Begin the connection; raises ConnectionResetError where it is gone already."""
        if self._ended or transport is None or transport.is_closing():
            raise ConnectionResetError
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if self._received:
            protocol.data_received(self._received)


class Handshake(asyncio.BufferedProtocol):
    """One connection before TLS is agreed on, as ConnectionLimits count it.

    It stands between the socket and the event loop's protocol of TLS, which would work on whatever arrives at once.
    What the peer sends is kept, and nothing more is read, until it is this connection's turn.
    """

    def __init__(
        self, connection: socket.socket, source: str, shared: ConnectionLimits, turns: HandshakeTurns, *, trusted: bool
    ) -> None:
        self.source = source
        self.trusted = trusted
        self._connection = connection
        self._shared = shared
        self._turns = turns
        self._counts = True
        self._steps = 0
        self._begin: Callable[[], asyncio.Task[None]] | None = None
        self._task: asyncio.Task[None] | None = None
        self._raw: asyncio.Transport | None = None
        self._tls: asyncio.BufferedProtocol | None = None
        self._buffer = bytearray()
        self._arrived = b""

    @property
    def first(self) -> bool:
        """Whether it goes before others of its source: once, when the costly work is done.

        A node that has agreed on TLS sends its request at once, and waits no second time behind all who only begin.
        """
        return self._steps == COSTLY_STEPS

    def wait(self, begin: Callable[[], asyncio.Task[None]]) -> None:
        """Call `begin`, which is to start `run`, when it is our turn."""
        self._begin = begin
        self._turns.wait(self)

    def leave(self) -> None:
        """It is over."""
        self._turns.leave(self)
        if self._counts:
            self._counts = False
            self._shared.leave(self)

    def close_idle(self) -> None:
        """Make room for another connection."""
        self.leave()
        if self._task is not None:
            self._task.cancel()
        if self._raw is None:
            self._connection.close()

    async def run(self, context: ssl.SSLContext, protocol: asyncio.Protocol, deadline: float) -> None:
        """Begin the protocol once TLS is agreed on.

        Raises OSError where that fails or is not done by the deadline (a time of the event loop).
        """
        loop = asyncio.get_running_loop()
        early = Early()
        try:
            async with asyncio.timeout_at(deadline):
                raw, _ = await loop.connect_accepted_socket(lambda: self, self._connection)
                # start_tls() puts its protocol into place at once, and lets it begin and read after this.
                loop.call_soon(self._step_between)
                secured = await loop.start_tls(raw, early, context, server_side=True)
            self.leave()
            early.hand_over(secured, protocol)
            self._step_aside()
        except BaseException:
            if self._raw is not None:
                self._raw.abort()
            raise
        finally:
            self.leave()

    def take_turn(self) -> None:
        """Begin, or work on what arrived and read on."""
        self._steps += 1
        if self._begin is not None:
            self._task, self._begin = self._begin(), None
        else:
            self._work()
            self._read_on()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # TCP has no other
        """The transport is there; TLS begins."""
        self._raw = transport

    def get_buffer(self, _: int) -> bytearray:
        """Where to put what arrives next."""
        self._buffer = bytearray(AT_A_TIME)
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Something arrived: keep it until it is our turn."""
        self._arrived += self._buffer[:nbytes]
        self._buffer = bytearray()
        if self._raw is not None:
            self._raw.pause_reading()
        if self._tls is not None:
            self._turns.wait(self)

    def eof_received(self) -> bool | None:
        """The peer sends no more."""
        return None if self._tls is None else self._tls.eof_received()

    def pause_writing(self) -> None:
        """The peer does not read."""
        if self._tls is not None:
            self._tls.pause_writing()

    def resume_writing(self) -> None:
        """The peer reads on."""
        if self._tls is not None:
            self._tls.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer is gone."""
        self._turns.leave(self)
        if self._tls is not None:
            self._tls.connection_lost(exc)
        elif self._task is not None:
            self._task.cancel()

    def _step_between(self) -> None:
        if self._raw is not None and not self._raw.is_closing():
            self._tls = self._raw.get_protocol()  # type: ignore[assignment]  # it is one
            self._raw.set_protocol(self)
            if self._arrived:
                self._turns.wait(self)

    def _work(self) -> None:
        data, self._arrived = self._arrived, b""
        if data and self._tls is not None:
            self._tls.get_buffer(len(data))[: len(data)] = data  # type: ignore[index]  # a view of bytes
            self._tls.buffer_updated(len(data))

    def _read_on(self) -> None:
        if self._raw is not None and not self._raw.is_closing():
            self._raw.resume_reading()

    def _step_aside(self) -> None:
        self._work()
        if self._raw is not None and self._tls is not None:
            self._raw.set_protocol(self._tls)
            self._read_on()
