"""A TCP proxy that can swallow everything, as a pulled cable that neither side notices, or answer anything instead."""

from __future__ import annotations

import asyncio
from typing import Self

CHUNK = 65_536
NEVER = 3600.0


class TcpProxy:
    """Passes bytes both ways between its own loopback port and another's, or neither while it is a black hole."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._open = asyncio.Event()
        self._open.set()
        self._era = 0
        self._spoiled = asyncio.Event()
        self._first = self._again = b""
        self._relays: set[asyncio.Task[None]] = set()
        self.port = 0
        self.accepted = 0
        """So many connections were made."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for relay in self._relays:
            relay.cancel()
        await asyncio.gather(*self._relays, return_exceptions=True)

    def black_hole(self) -> None:
        """From now on nothing comes through, on old connections and new; all of them stay open."""
        self._era += 1
        self._open.clear()

    def spoil(self, first: bytes, again: bytes) -> None:
        """From now on the server's side says this, asked or not: `first`, and `again` without end."""
        self._first, self._again = first, again
        self._spoiled.set()

    def heal(self) -> None:
        """New connections work again. Old ones stay dead, as when an address translation forgot them."""
        self._spoiled.clear()
        self._open.set()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        relay = asyncio.create_task(self._relay(reader, writer))
        self._relays.add(relay)
        relay.add_done_callback(self._relays.discard)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._open.wait()
            era = self._era  # of now: while we connect, it may become a black hole
            try:
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
            except OSError:
                return  # Nobody listens there: our closing shows that to the other side.
            pumps = [
                asyncio.create_task(self._pump(reader, far_writer, era)),
                asyncio.create_task(self._pump(far_reader, writer, era)),
                asyncio.create_task(self._spoil(writer)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                far_writer.close()
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        finally:
            writer.close()

    async def _spoil(self, writer: asyncio.StreamWriter) -> None:
        await self._spoiled.wait()
        self._era += 1  # Of the connections that there are, nothing else comes through.
        writer.write(self._first)
        while True:
            await writer.drain()
            await asyncio.sleep(0 if self._again else NEVER)
            writer.write(self._again)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, era: int) -> None:
        while chunk := await reader.read(CHUNK):
            if era == self._era:
                writer.write(chunk)
                await writer.drain()
