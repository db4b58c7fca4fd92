"""The registry over HTTP/1.1: one connection that is kept alive, and an end to every wait.

Not http.client: it brings the whole of `email` and `ssl` along, which is half of what the agent weighs, and it has a
timeout for each read but none for an answer.
"""

from __future__ import annotations

import json
import socket
import time
from binascii import b2a_base64
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from exporter import __version__
from exporter.agent.checks import shown
from exporter.agent.exits import UsageError
from exporter.agent.responsereader import BadAnswer, ResponseReader, time_left
from exporter.domain.requestoutcome import Outcome, Reply, Response, outcome_of

REGISTRY_PORT = 9999
"""Where a registry listens by default."""
TIMEOUT = 5.0
MAX_JSON = 2**20
"""Bytes of an answer that are taken apart: a registry's is a fraction of that, and what it takes is many times more."""
UNAUTHORIZED = 401
_PROBLEM = "application/problem+json"


class HttpRegistry:
    """Registers, sends heartbeats and leaves over REST. Each call ends within the timeout and never raises for the way.

    `url` may hold `user:password@`, for a registry behind basic authentication, and a path, for one behind a proxy.
    `tls` wraps a socket for a host name; `token` gives what the registry wants to see, or nothing; `forget_token` is
    called when it was refused, and says whether there is another.
    Raises UsageError for what is no such URL.
    """

    def __init__(
        self,
        url: str,
        *,
        token: Callable[[], str] = str,
        forget_token: Callable[[], bool] = bool,
        tls: Callable[[socket.socket, str], socket.socket] | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self._scheme, login, self._host, self._port, self._prefix = split_url(url)
        shown_host = f"[{self._host}]" if ":" in self._host else self._host
        self._authority = f"{shown_host}:{self._port}"
        self.endpoint = f"{self._scheme}://{self._authority}{self._prefix}"
        """The registry's URL, without user and password."""
        self._basic = f"Basic {b2a_base64(login.encode(), newline=False).decode()}" if login else ""
        self._token = token
        self._forget_token = forget_token
        self._tls = tls
        self.timeout = timeout
        self.answers = True
        self._socket: socket.socket | None = None

    def register(self, registration: Mapping[str, Any]) -> Reply:
        """OK with the registry's answer; CONFLICT, REFUSED, ... with its reason."""
        reply = self.call("POST", "/nodes/register", registration)
        if reply.outcome is Outcome.UNKNOWN:
            # The node's own token is worth nothing any more: the join token is shown in its place.
            reply = self.call("POST", "/nodes/register", registration)
        if reply.ok and "heartbeat_interval_seconds" not in reply.document:
            return self._not_ours(200, {})
        return reply

    def heartbeat(self, node: str, report: Mapping[str, Any]) -> Reply:
        """OK, with what was ignored of it; or UNKNOWN, DEPARTED, ..."""
        return self.call("POST", f"/nodes/{quote(node, safe='')}/heartbeat", report)

    def leave(self, node: str) -> Reply:
        """OK, also when it was said before."""
        return self.call("DELETE", f"/nodes/{quote(node, safe='')}", None)

    def call(self, method: str, path: str, document: Mapping[str, Any] | None) -> Reply:
        """Any request of ours, whose answer is a JSON object or empty."""
        body = b"" if document is None else json.dumps(document, allow_nan=False, separators=(",", ":")).encode()
        try:
            response = self.fetch(method, path, body)
        except (OSError, BadAnswer, ValueError) as error:
            # A ValueError: a host name that no resolver takes.
            return Reply(Outcome.UNREACHABLE, f"{self.endpoint}: {why_no_answer(error, self.timeout)}")
        return self._reply_of(response)

    def fetch(self, method: str, path: str, body: bytes = b"") -> Response:
        """The answer as it is. Raises OSError and BadAnswer."""
        deadline = time.monotonic() + self.timeout
        kept = self._socket is not None
        try:
            return self._exchange(method, path, body, deadline)
        except (OSError, BadAnswer):
            self.close()
            if not kept or time.monotonic() >= deadline:
                raise
        # The registry ended a connection that had been idle, just as we sent. Every request of ours may be repeated.
        try:
            return self._exchange(method, path, body, deadline)
        except (OSError, BadAnswer):
            self.close()
            raise

    def close(self) -> None:
        """End the connection."""
        connection, self._socket = self._socket, None
        if connection is not None:
            connection.close()

    def _exchange(self, method: str, path: str, body: bytes, deadline: float) -> Response:
        if self._socket is None:
            self._socket = self._connect(deadline)
        connection = self._socket
        connection.settimeout(time_left(deadline))
        connection.sendall(self._head(method, path, body) + body)
        reader = ResponseReader(connection, deadline)
        while True:
            status, headers = reader.head()
            if status >= 200:  # noqa: PLR2004 - an interim answer is followed by the answer
                break
        content = reader.body(headers) if status not in {204, 304} else b""
        if reader.over or headers.get("connection", "").lower() == "close":
            self.close()
        return Response(status, headers, content)

    def _connect(self, deadline: float) -> socket.socket:
        connection = socket.create_connection((self._host, self._port), timeout=time_left(deadline))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._scheme == "http":
            return connection
        try:
            if self._tls is None:
                from exporter.agent.tls import context_of, wrapper  # noqa: PLC0415 - heavy, and rarely needed

                self._tls = wrapper(context_of("", "", ""))
            connection.settimeout(time_left(deadline))
            return self._tls(connection, self._host)
        except BaseException:
            connection.close()
            raise

    def _head(self, method: str, path: str, body: bytes) -> bytes:
        lines = [
            f"{method} {self._prefix}{path} HTTP/1.1",
            f"Host: {self._authority}",
            f"User-Agent: aurora-agent/{__version__}",
            "Accept: application/json, application/problem+json, */*",
        ]
        if body:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        token = self._token()
        if token:
            lines.append(f"Authorization: Bearer {token}")
        elif self._basic:
            lines.append(f"Authorization: {self._basic}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _reply_of(self, response: Response) -> Reply:
        try:
            document = json.loads(response.body or b"{}") if len(response.body) <= MAX_JSON else None
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            return self._not_ours(response.status, response.headers)
        if response.status in {200, 201, 204}:
            return Reply(Outcome.OK, document=document)
        if not response.headers.get("content-type", "").startswith(_PROBLEM):
            return self._not_ours(response.status, response.headers)
        if response.status == UNAUTHORIZED and self._forget_token():
            return Reply(Outcome.UNKNOWN, "the registry no longer accepts this node's token")
        outcome = outcome_of(response.status, document.get("type"))
        errors = document.get("errors")
        reasons = [_fault(error) for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
        said = "; ".join(reasons) or document.get("detail") or document.get("title")
        retry = response.headers.get("retry-after", "")
        seconds = float(retry) if retry.isascii() and retry.isdecimal() and len(retry) <= 6 else None  # noqa: PLR2004
        return Reply(outcome, str(said or f"{self.endpoint} answers {response.status}"), seconds, document)

    def _not_ours(self, status: int, headers: Mapping[str, str]) -> Reply:
        # A proxy whose registry is down, or the login page of a hotel's network, is gone in a while.
        moved = headers.get("location")
        pointer = f" and points to {shown(moved)}" if moved else ""
        reason = f"{self.endpoint} answers {status}{pointer}, which no registry says: check the address"
        return Reply(Outcome.UNAVAILABLE, reason)


def why_no_answer(error: Exception, timeout: float, ca_option: str = "--ca-file") -> str:
    """What kept an answer away, for people. `ca_option`: what names the certificates of a private authority."""
    if isinstance(error, socket.gaierror):
        return "its host name is not known: check it, and the resolver"
    if isinstance(error, (socket.timeout, TimeoutError)):
        return f"no answer within {timeout:g} s"
    if type(error).__module__ == "ssl":
        return f"TLS failed ({error}): for a private authority, {ca_option} names its certificates"
    reason = getattr(error, "strerror", None)
    return reason.lower() if reason else str(error)


def split_url(url: str) -> tuple[str, str, str, int, str]:
    """Scheme, `user:password`, host, port and path. Raises UsageError.

    Without a scheme it is http, and without a port too the registry's usual one; a URL has its scheme's.
    """
    default = 0
    if "://" not in url:
        url, default = f"http://{url}", REGISTRY_PORT
    try:
        parts = urlsplit(url)
        port = parts.port
        fits = parts.scheme in {"http", "https"} and bool(parts.hostname) and port != 0
    except ValueError:  # the port is no number
        fits, port = False, None
    if not fits or parts.query or parts.fragment or not url.isascii() or not url.isprintable() or " " in url:
        # The value is not repeated: it may hold a password.
        raise UsageError(
            "--registry (AURORA_REGISTRY): expected a host, host:port or a URL such as http://10.0.0.1:9999"
        )
    login = unquote(parts.netloc.rpartition("@")[0])
    default = default or (443 if parts.scheme == "https" else 80)
    return parts.scheme, login, str(parts.hostname), port or default, parts.path.rstrip("/")


def _fault(error: Mapping[str, Any]) -> str:
    field, message = error.get("field"), error.get("message")
    return f"{field}: {message}" if field else str(message)
