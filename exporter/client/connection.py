"""A connection of http.client with one deadline for all that it waits for, where http.client has one for each wait."""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from typing import Any

from exporter.client.endpoint import Endpoint


class TimedConnection(http.client.HTTPConnection):
    """A connection whose every wait ends at `deadline` (monotonic seconds)."""

    deadline = 0.0

    def __init__(self, endpoint: Endpoint, tls: ssl.SSLContext | None) -> None:
        super().__init__(endpoint.host, endpoint.port)
        self._tls = tls
        self._server_hostname = endpoint.host

    def connect(self) -> None:
        """Connect, over TLS where there is a context."""
        plain = socket.create_connection((self.host, self.port), self.left())
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock = self._tls.wrap_socket(plain, server_hostname=self._server_hostname) if self._tls else plain
        except BaseException:
            plain.close()
            raise
        self.sock: Any = _TimedSocket(sock, self)

    def left(self) -> float:
        """Seconds until the deadline; TimeoutError where none are left."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class _TimedSocket:
    """What http.client needs of a socket; each call may take only what is left of the connection's time."""

    def __init__(self, sock: socket.socket, connection: TimedConnection) -> None:
        self._sock = sock
        self._connection = connection

    def sendall(self, data: Any) -> None:
        self._sock.settimeout(self._connection.left())
        self._sock.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        """A reader of its own; the socket closes once both are closed."""
        assert mode == "rb"  # noqa: S101 - what http.client reads by
        return _BoundedReader(_TimedReader(self._sock, self._connection))

    def close(self) -> None:
        self._sock.close()


class _BoundedReader(io.BufferedReader):
    def read(self, size: int | None = -1) -> bytes:
        """So many bytes. The http.client of Python takes the length of a chunk as it comes, and -1 is without end."""
        if size is None or size < 0:
            raise http.client.HTTPException("expected a length of 0 or more")
        return super().read(size)


class _TimedReader(io.RawIOBase):
    def __init__(self, sock: socket.socket, connection: TimedConnection) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._connection = connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._connection.left())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()
