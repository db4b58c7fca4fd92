"""Hostile connections to a registry on this machine: `attacker KIND PORT CONNECTIONS SECONDS`; then it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from pathlib import Path

from benchmarks import client

HEAD = b"POST /nodes/n1/heartbeat HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
BOMB = json.dumps({"name": "b", "capabilities": {"k" * 60_000: [0] * 30_000}}).encode()
_numbers = count()
"""Of all connections together: none comes twice."""
Pieces = Callable[[], AsyncIterator[bytes]]


async def _drip(head: bytes, piece: bytes) -> AsyncIterator[bytes]:
    yield head
    while True:
        await asyncio.sleep(1)
        yield piece


async def _idle() -> AsyncIterator[bytes]:
    yield b""
    await asyncio.sleep(3600)


async def _trailers() -> AsyncIterator[bytes]:
    yield b"GET /nodes HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    while True:
        yield b"a:\r\n" * 4000


async def _chunks() -> AsyncIterator[bytes]:
    yield HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    while True:
        yield b"1\r\n \r\n" * 4000


async def _requests(request: bytes) -> AsyncIterator[bytes]:
    while True:
        yield request


async def _distinct(path: str) -> AsyncIterator[bytes]:
    """No two answers are the same, so that none can be shared."""
    for number in _numbers:
        yield _get(path.format(number))


async def _registrations(known: str = "") -> AsyncIterator[bytes]:
    """Of new nodes, or of a known one."""
    for number in _numbers:
        yield _register(json.dumps({"name": known or f"h{number}", "role": "hostile"}).encode())


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


def _register(body: bytes) -> bytes:
    head = b"POST /nodes/register HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


HTTP_KINDS: dict[str, tuple[Pieces, bool]] = {
    "idle": (_idle, True),
    "slow heads": (lambda: _drip(b"GET / HTTP/1.1\r\n", b"a"), True),
    "slow bodies": (lambda: _drip(HEAD + b"Content-Length: 9999\r\n\r\n", b"{"), True),
    "slow large bodies": (lambda: _drip(HEAD + b"Content-Length: 900000\r\n\r\n", b"{"), True),
    "endless trailers": (_trailers, True),
    "one-byte chunks": (_chunks, True),
    "readers of /metrics that do not read": (lambda: _requests(_get("/metrics")), False),
    "readers of /nodes": (lambda: _requests(_get("/nodes")), True),
    "readers of /nodes sorted": (lambda: _requests(_get("/nodes?sort=free_vram&limit=1")), True),
    "readers of badges": (lambda: _requests(_get("/badge/mesh.svg")), True),
    "readers of /topology": (lambda: _requests(_get("/topology")), True),
    "readers of /nodes, each with another filter": (lambda: _distinct("/nodes?min_free_vram_gb={}&limit=1"), True),
    "readers of /metrics, each with another name": (
        lambda: _distinct("/metrics?name[]=aurora_node_gpus&name[]=a{}"),
        True,
    ),
    "readers of nothing (404)": (lambda: _distinct("/nodes/nobody{}"), True),
    "readers of a target of 1,024 escapes": (lambda: _requests(_get("/nodes/" + "%61" * 1_024)), True),
    "readers of /stats": (lambda: _requests(_get("/stats")), True),
    "readers of /sd/prometheus": (lambda: _requests(_get("/sd/prometheus?port=9100")), True),
    "readers of /audit, all of it": (lambda: _requests(_get("/audit?limit=10000")), True),
    "readers of /openapi.json": (lambda: _requests(_get("/openapi.json")), True),
    "readers of the agent": (lambda: _requests(_get("/agent/aurora-agent.pyz")), True),
    "readers of transitions": (lambda: _requests(_get("/transitions")), True),
    "registrations of a known node": (lambda: _registrations("n1"), True),
    "registrations of new nodes": (_registrations, True),
    "followers of /events": (lambda: _requests(_get("/events")), True),
    "JSON bombs": (lambda: _requests(_register(BOMB)), True),
}
"""For each kind what a connection sends, and whether it reads what comes back."""


async def _read(reader: asyncio.StreamReader) -> None:
    while True:
        if not await reader.read(2**20):
            return
        await asyncio.sleep(0.01)


async def _attack(port: int, pieces: Pieces, *, reads: bool) -> None:
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**16)
            reading = asyncio.create_task(_read(reader)) if reads else None
            try:
                async for piece in pieces():
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0.05)
                    if reading and reading.done():
                        break
            finally:
                if reading:
                    reading.cancel()
                writer.close()
        await asyncio.sleep(0.1)


async def _shake_hands(port: int) -> None:
    """Connect over TLS and leave, as often as it is answered."""
    context = client.trusting()
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            writer.transport.abort()


async def _say_hello(port: int) -> None:
    """Begin with TLS and leave at the answer, which costs the server a signature and the client nothing."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        client.trusting().wrap_bio(incoming, outgoing).do_handshake()
    hello = outgoing.read()
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(hello)
            await reader.read(2**16)
            writer.transport.abort()


TLS_KINDS: dict[str, Callable[[int], Awaitable[None]]] = {
    "TLS handshakes": _shake_hands,
    "TLS handshakes that end at the answer": _say_hello,
}


async def main(kind: str, port: int, connections: int, seconds: float) -> None:
    """Attack for so long."""

    def attack() -> Awaitable[None]:
        if kind in TLS_KINDS:
            return TLS_KINDS[kind](port)
        pieces, reads = HTTP_KINDS[kind]
        return _attack(port, pieces, reads=reads)

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.gather(*(attack() for _ in range(connections)))


def _yield_the_processor() -> None:
    """As far as the system lets us: to other processes, and to those of other sessions."""
    os.nice(19)
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text("19")


if __name__ == "__main__":
    _yield_the_processor()
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
