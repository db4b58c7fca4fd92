"""The one way to make an HTTP request: connections that are kept alive, and a deadline for the whole exchange."""

from __future__ import annotations

import enum
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

from exporter.client.connection import TimedConnection
from exporter.client.credentials import Credentials
from exporter.client.endpoint import Endpoint, parse_endpoint
from exporter.domain.clock import SECOND
from exporter.domain.duration import format_duration
from exporter.domain.requestoutcome import Response

MAX_BODY_BYTES = 512 * 2**20
MAX_LINE_BYTES = 2**20
FAILURES = (OSError, http.client.HTTPException, ValueError)
"""What keeps an answer away. A ValueError: a host name that no resolver takes, a number that is none."""
_NOTHING = Credentials()


class Cause(enum.StrEnum):
    """Why no answer came, classified by what people should look at."""

    HOST_NAME = "host name"
    CONNECTION = "connection"
    TLS = "tls"
    TIMEOUT = "timeout"
    PROTOCOL = "protocol"


class NoAnswer(Exception):
    """No whole answer came. The message is a sentence without its full stop, and holds no secret."""

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(message)
        self.cause = cause


class HttpService:
    """One HTTP service. Any number of threads may ask at once; each uses a connection of its own meanwhile."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        timeout_seconds: float,
        user_agent: str,
        credentials: Credentials = _NOTHING,
        keep: int = 1,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        """`keep`: idle connections that are kept. Raises Invalid where the TLS files cannot be used."""
        self._max_body_bytes = max_body_bytes
        self.endpoint = endpoint
        self._timeout_seconds = timeout_seconds
        self._tls = credentials.tls() if endpoint.scheme == "https" else None
        self._headers = {"Accept": "application/json", "User-Agent": user_agent}
        if credentials.token:
            self._headers["Authorization"] = f"Bearer {credentials.token}"
        elif endpoint.authorization:
            self._headers["Authorization"] = endpoint.authorization
        self._keep = keep
        self._idle: list[TimedConnection] = []
        self._lock = threading.Lock()

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        """The answer, redirects included; NoAnswer where none came in time.

        A request is repeated once where the service closed a kept connection as we used it: all requests of ours may
        be repeated.
        """
        deadline = time.monotonic() + self._timeout_seconds
        connection = self._take()
        try:
            if connection is not None:
                try:
                    return self._exchange(connection, deadline, method, path, body=body, headers=headers)
                except (ConnectionError, http.client.BadStatusLine, ssl.SSLEOFError, ssl.SSLZeroReturnError):
                    connection.close()
            connection = self._connection()
            return self._exchange(connection, deadline, method, path, body=body, headers=headers)
        except FAILURES as error:
            if connection is not None:
                connection.close()
            raise no_answer(error, self._timeout_seconds) from None

    @contextmanager
    def stream(self, path: str, headers: Mapping[str, str]) -> Iterator[tuple[Response, Iterator[bytes]]]:
        """A GET whose answer has no end: its head, and its lines as they come.

        The timeout is for the head and then for the pause between two lines, which ends it as NoAnswer.
        """
        connection = self._connection()
        try:
            connection.deadline = time.monotonic() + self._timeout_seconds
            connection.request("GET", self.endpoint.prefix + path, headers={**self._headers, **headers})
            response = connection.getresponse()
            if response.status != http.client.OK:
                yield _whole(response, self._max_body_bytes), iter(())
            else:
                yield _head(response, b""), self._lines(connection, response)
        except FAILURES as error:
            raise no_answer(error, self._timeout_seconds) from None
        finally:
            connection.close()

    def close(self) -> None:
        """Close the connections that nobody uses."""
        while (connection := self._take()) is not None:
            connection.close()

    def _take(self) -> TimedConnection | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _give_back(self, connection: TimedConnection) -> None:
        with self._lock:
            if len(self._idle) < self._keep:
                self._idle.append(connection)
                return
        connection.close()

    def _connection(self) -> TimedConnection:
        return TimedConnection(self.endpoint, self._tls)

    def _exchange(
        self,
        connection: TimedConnection,
        deadline: float,
        method: str,
        path: str,
        *,
        body: bytes | None,
        headers: Mapping[str, str] | None,
    ) -> Response:
        connection.deadline = deadline
        content = {"Content-Type": "application/json"} if body is not None else {}
        all_headers = {**self._headers, **content, **(headers or {})}
        connection.request(method, self.endpoint.prefix + path, body=body, headers=all_headers)
        response = connection.getresponse()
        answer = _whole(response, self._max_body_bytes)
        if response.will_close:
            connection.close()
        else:
            self._give_back(connection)
        return answer

    def _lines(self, connection: TimedConnection, response: http.client.HTTPResponse) -> Iterator[bytes]:
        while True:
            connection.deadline = time.monotonic() + self._timeout_seconds
            line = response.readline(MAX_LINE_BYTES)
            if not line:
                return
            yield line


def fetch(
    url: str,
    *,
    method: str = "GET",
    body: bytes | None = None,
    timeout_seconds: float = 5.0,
    max_body_bytes: int = MAX_BODY_BYTES,
) -> Response:
    """The answer to one request for any HTTP URL, over a connection of its own; NoAnswer, and Invalid for no URL."""
    parts = urlsplit(url)
    path = urlunsplit(("", "", parts.path, parts.query, ""))
    service = HttpService(
        parse_endpoint(f"{parts.scheme}://{parts.netloc}"),
        timeout_seconds=timeout_seconds,
        user_agent="aurora",
        keep=0,
        max_body_bytes=max_body_bytes,
    )
    return service.request(method, path or "/", body)


def no_answer(error: Exception, timeout_seconds: float) -> NoAnswer:
    """What the error means to people."""
    if isinstance(error, socket.gaierror | UnicodeError):
        return NoAnswer(Cause.HOST_NAME, "its host name is not known")
    if isinstance(error, TimeoutError):
        return NoAnswer(Cause.TIMEOUT, f"no answer within {format_duration(round(timeout_seconds * SECOND))}")
    if isinstance(error, ssl.SSLError):
        reason = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else error.reason
        return NoAnswer(Cause.TLS, f"TLS failed ({reason or error})")
    if isinstance(error, ConnectionResetError | BrokenPipeError | http.client.RemoteDisconnected):
        return NoAnswer(Cause.PROTOCOL, "it closed the connection without an answer")
    if isinstance(error, OSError):
        return NoAnswer(Cause.CONNECTION, (error.strerror or str(error)).lower())
    return NoAnswer(Cause.PROTOCOL, f"what answers is no HTTP ({type(error).__name__})")


def _whole(response: http.client.HTTPResponse, max_bytes: int) -> Response:
    body = response.read(max_bytes + 1)
    if len(body) > max_bytes:
        raise http.client.HTTPException("the answer is too large")
    if response.length:
        raise http.client.IncompleteRead(body, response.length)
    response.close()
    return _head(response, body)


def _head(response: http.client.HTTPResponse, body: bytes) -> Response:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Response(response.status, headers, body, response.reason)
