"""One HTTP client for all: a scrape that is timed, and many requests as fast as they are answered."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

import uvloop

CONNECTIONS = 64
_TIMEOUT_SECONDS = 300
_CHUNK = 2**20
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


class Refused(Exception):
    """A request was not answered with success."""


@dataclass(frozen=True, slots=True)
class Scraped:
    """`seconds` from connecting until the last byte; `body` as it came over the wire."""

    seconds: float
    body: bytes


@cache
def trusting() -> ssl.SSLContext:
    """TLS with a server whose certificate nobody checks: it is on this machine."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def connect(port: int, *, secured: bool = False) -> socket.socket:
    """A connection to this machine, over TLS if it is `secured`."""
    connection = socket.create_connection(("127.0.0.1", port), _TIMEOUT_SECONDS)
    return trusting().wrap_socket(connection) if secured else connection


def scrape(port: int, *, gzip: bool, query: str = "", secured: bool = False) -> Scraped:
    """GET /metrics on a connection of its own, without keep-alive, so that its end ends the body."""
    encoding = "gzip" if gzip else "identity"
    request = f"GET /metrics{query} HTTP/1.0\r\nHost: 127.0.0.1\r\nAccept-Encoding: {encoding}\r\n\r\n".encode()
    parts = []
    began = time.perf_counter()
    with connect(port, secured=secured) as connection:
        connection.sendall(request)
        while part := connection.recv(_CHUNK):
            parts.append(part)
    seconds = time.perf_counter() - began
    head, _, body = b"".join(parts).partition(b"\r\n\r\n")
    if head.split(b" ", 2)[1] != b"200":
        raise Refused(f"GET /metrics on port {port}: {head.decode()}")
    return Scraped(seconds, body)


def wait_until_ready(port: int, *, secured: bool = False) -> None:
    """Return once the registry has loaded its map. TimeoutError after a minute."""
    url = f"{'https' if secured else 'http'}://127.0.0.1:{port}/-/ready"
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        with contextlib.suppress(urllib.error.HTTPError):
            urllib.request.urlopen(url, timeout=5, context=trusting() if secured else None).close()
            return
        time.sleep(0.05)
    raise TimeoutError(f"the registry on port {port} is not ready")


def request(method: str, path: str, body: bytes = b"", media_type: str = "application/json") -> bytes:
    """A request as it goes over a connection that stays open."""
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}"
    return f"{head}\r\n\r\n".encode() + body


def send_all(port: int, requests: Iterable[bytes], connections: int = CONNECTIONS, *, secured: bool = False) -> None:
    """Send them all over a few connections; raises Refused for an answer that is not of success."""
    uvloop.run(_send_all(port, iter(requests), connections, secured=secured))


async def _send_all(port: int, requests: Iterator[bytes], connections: int, *, secured: bool) -> None:
    async with asyncio.TaskGroup() as tasks:
        for _ in range(connections):
            tasks.create_task(_send(port, requests, secured=secured))


async def _send(port: int, requests: Iterator[bytes], *, secured: bool) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting() if secured else None)
    try:
        for each in requests:
            writer.write(each)
            head = await reader.readuntil(b"\r\n\r\n")
            length = _CONTENT_LENGTH.search(head)
            body = await reader.readexactly(int(length[1])) if length else b""
            if not head.startswith(b"HTTP/1.1 2"):
                raise Refused(f"{each[:80]!r}: {head!r} {body[:500]!r}")
    finally:
        writer.close()
