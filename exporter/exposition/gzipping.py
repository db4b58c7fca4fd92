"""Text kept compressed, and bodies put together from it.

A piece is a stretch of raw deflate that begins with an empty window and ends on a byte boundary (a full flush), so that
pieces stand behind each other in one gzip member as they are. Whole members behind each other would be shorter to
write; Go reads those, curl does not.
Source: RFC 1951 3.2.4, RFC 1952 2.3.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from isal import isal_zlib

from exporter.exposition.yielder import Yielder

_LEVEL = 1
_RAW = -15
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_FINAL_BLOCK = b"\x03\x00"
_LARGE = 2**20
"""From so many bytes on, `bytes.join` copies without holding the interpreter's lock."""


class Piece(NamedTuple):
    """A text: deflated, with its own checksum and length."""

    deflated: bytes
    crc: int
    length: int


EMPTY = Piece(b"", 0, 0)


def deflate(text: bytes) -> Piece:
    """The text, in UTF-8, as a piece."""
    if not text:
        return EMPTY
    compressor = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, _RAW)
    deflated = compressor.compress(text) + compressor.flush(isal_zlib.Z_FULL_FLUSH)
    return Piece(deflated, isal_zlib.crc32(text), len(text))


def inflate(piece: Piece) -> bytes:
    """The piece's text, in UTF-8."""
    return isal_zlib.decompressobj(_RAW).decompress(piece.deflated)


async def gzip_body(pieces: Sequence[Piece], yielder: Yielder) -> bytes:
    """The pieces as one gzip member."""
    parts, crc, length = [_HEADER], 0, 0
    for piece in pieces:
        parts.append(piece.deflated)
        crc = isal_zlib.crc32_combine(crc, piece.crc, piece.length)
        length += piece.length
        await yielder.maybe_yield()
    parts += [_FINAL_BLOCK, crc.to_bytes(4, "little"), (length % 2**32).to_bytes(4, "little")]
    return await _join(parts, yielder)


async def plain_body(pieces: Sequence[Piece], yielder: Yielder) -> bytes:
    """The pieces' texts."""
    parts = []
    for piece in pieces:
        parts.append(inflate(piece))
        await yielder.maybe_yield()
    return await _join(parts, yielder)


async def _join(parts: list[bytes], yielder: Yielder) -> bytes:
    if sum(map(len, parts)) < _LARGE:
        return b"".join(parts)
    body = await asyncio.to_thread(b"".join, parts)
    while parts:
        # To free so much takes its time as well.
        parts.pop()
        await yielder.maybe_yield()
    return body
