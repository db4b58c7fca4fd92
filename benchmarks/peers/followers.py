"""Follows the event stream many times over: `python -m benchmarks.peers.followers PORT STREAMS`, until it is ended.

Prints a line once all streams are open. What comes is read and dropped: what a reader makes of it is its own.
"""

from __future__ import annotations

import asyncio
import sys

import uvloop

from benchmarks.client import Refused

REQUEST = b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
AT_ONCE = 50
PIECE = 65_536


async def _follow(reader: asyncio.StreamReader) -> None:
    while await reader.read(PIECE):
        pass


async def main(port: int, streams: int) -> None:
    """Open them, say so, and read."""
    opened: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    while len(opened) < streams:
        fresh = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", port) for _ in range(AT_ONCE)))
        for reader, writer in fresh:
            writer.write(REQUEST)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise Refused(head.decode())
        opened += fresh
    print(len(opened), flush=True)
    await asyncio.gather(*(_follow(reader) for reader, _ in opened))


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
