"""hiredis within bounds: no answer may be larger than any that a Redis with our data gives.

A Redis, or what stands in its place, may announce an array of a thousand million values, for which hiredis sets memory
aside at once, or answer without end. The time that an answer may take does not bound it, since a fast server sends a
gigabyte a second, and the bus waits for its events without limit. So what is read is measured before hiredis gets it.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any, cast

from redis._parsers import _AsyncHiredisParser
from redis._parsers.hiredis import NOT_ENOUGH_DATA
from redis.asyncio import Connection
from redis.exceptions import ConnectionError as RedisConnectionError

MAX_REPLY_BYTES = 64 * 2**20
"""The largest that we ask for are some 45 MiB: entries of the stream of changes. Redis itself ends a subscription of
which 32 MiB wait."""
MAX_REPLY_LINES = 500_000
"""Of one answer: each value has one, a text has two. Our most are those of a cluster whose slots are all scattered."""
MAX_ARRAY = 99_999
CLOSED = "Connection closed by server."
"""As redis-py says it."""
MAX_REFUSAL = 500
_LARGE_ARRAY = re.compile(rb"\*(?:(\d{6})|\d{0,5}\Z)")
"""The header of more values than that; or, at the end of what is there, one that may become it."""
_LARGE_OF_RESP3 = re.compile(rb"[*%~>|](?:(\d{6})|\d{0,5}\Z)")
"""The same of maps, sets and what else RESP3 has: hiredis takes it unasked. The search takes ten times as long."""


__all__ = ["NOT_ENOUGH_DATA", "BoundedParser", "ReplyTooLarge", "parser_of"]


class ReplyTooLarge(RedisConnectionError):
    """An answer is larger than any of ours: the connection cannot be used any more, but that to another server may."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the answer is too large: {what}")


class BoundedParser(_AsyncHiredisParser):
    """redis-py's parser, which raises ReplyTooLarge before an answer takes more memory than the bounds allow."""

    _reader: Any
    """hiredis; the base class gives it and the stream no types."""
    _stream: Any

    def __init__(self, socket_read_size: int) -> None:
        super().__init__(socket_read_size)
        self._chunk, self._fed = b"", 0
        """What was read from the socket, and how much of it hiredis has."""
        self._waiting = 0
        """Bytes that hiredis had before the chunk."""
        self._bytes_left = self._lines_left = 0
        self._large = _LARGE_ARRAY
        self._transport: asyncio.WriteTransport | None = None

    def on_connect(self, connection: Any) -> None:
        """Forget what an earlier connection brought."""
        super().on_connect(connection)  # type: ignore[no-untyped-call]  # as it ships
        self._chunk, self._fed, self._waiting = b"", 0, 0
        self._transport = connection._writer.transport  # noqa: SLF001 - it has no other name

    def on_disconnect(self) -> None:
        """End the connection: closing it would first wait, without limit, until the server has read what we sent."""
        super().on_disconnect()  # type: ignore[no-untyped-call]  # as it ships
        self._reader, self._chunk, self._fed = None, b"", 0
        if self._transport is not None:
            self._transport.abort()

    async def can_read(self) -> bool:
        """Whether there is something that nobody asked for, or the connection was closed.

        Raises ConnectionError for a refusal, which a server that has enough clients sends before it closes.
        """
        if self._fed < len(self._chunk):
            return True
        waiting = await super().can_read()
        said = bytes(self._stream._buffer[:MAX_REFUSAL])  # noqa: SLF001 - as the base class looks
        if said.startswith(b"-"):
            raise RedisConnectionError(said[1:].partition(b"\r")[0].decode(errors="replace"))
        return waiting

    def received(self) -> Any:
        """The next answer, if all of it is here; else NOT_ENOUGH_DATA, for which to wait with `read_response`.

        That is four coroutines of redis-py's, which of many small answers take longer than all else.
        """
        if self._reader is None:
            raise RedisConnectionError(CLOSED)
        answer = self._reader.gets()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def read_response(self, disable_decoding: bool = False, push_request: bool = False) -> Any:
        """The next answer."""
        self._bytes_left, self._lines_left = MAX_REPLY_BYTES, MAX_REPLY_LINES
        return await super().read_response(disable_decoding, push_request)

    async def read_from_socket(self) -> bool:
        """Give hiredis some more. It is called when hiredis made all that it could of what it has."""
        if self._fed == len(self._chunk):
            self._count_lines()
            await self._read()
        found = self._large.match(self._chunk, self._fed)
        # Where no byte of a value waits, it is a header; else it is part of a text.
        if found and not self._reader.has_data():
            if found[1]:
                raise ReplyTooLarge(f"more than {MAX_ARRAY} values in an array")
            await self._read()
            return True
        found = self._large.search(self._chunk, self._fed + bool(found))
        end = found.start() if found else len(self._chunk)
        self._reader.feed(self._chunk, self._fed, end - self._fed)
        self._fed = end
        return True

    async def _read(self) -> None:
        more = await self._stream.read(self._read_size)
        if not (more and self._connected):
            raise RedisConnectionError(CLOSED)
        self._chunk, self._fed = self._chunk[self._fed :] + more, 0
        self._large = _LARGE_OF_RESP3 if any(mark in self._chunk for mark in b"%~>|") else _LARGE_ARRAY
        self._bytes_left -= len(more)
        if self._bytes_left < 0:
            raise ReplyTooLarge(f"more than {MAX_REPLY_BYTES} bytes")

    def _count_lines(self) -> None:
        """Of the chunk that hiredis has, unless all of it is part of one text."""
        waiting = self._reader.len()
        if waiting < self._waiting + len(self._chunk) and self._bytes_left < MAX_REPLY_BYTES:
            self._lines_left -= self._chunk.count(b"\r\n")
            if self._lines_left < 0:
                raise ReplyTooLarge(f"more than {MAX_REPLY_LINES} lines")
        self._waiting = waiting


def parser_of(connection: Connection) -> BoundedParser:
    """The parser of a connection of ours."""
    return cast("BoundedParser", connection._parser)  # noqa: SLF001 - it has no other name
