"""Speaking over REST: connections that are kept alive, used by a few threads."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import msgspec
import urllib3
from urllib3.exceptions import HTTPError, ProtocolError

from exporter import __version__
from exporter.client.protocol import OK, Outcome, Reply
from exporter.client.replies import answer_of, unreachable
from exporter.client.workers import Workers
from exporter.domain.errors import Invalid

TIMEOUT_SECONDS = 5.0
GRACE_SECONDS = 0.5
"""How much longer than urllib3 we wait: it does not count the look-up of a host name, nor a body that drips."""
REGISTERED = (200, 201)
STATUS_OK = 200
NO_CONTENT = 204
NOT_FOUND = 404


class HttpClient:
    """A voice over HTTP or HTTPS; up to `connections` calls are under way at once, the others wait their turn.

    `url` may hold `user:password@`, for a registry behind basic authentication, and a path, for one behind a proxy.
    Raises Invalid for what is no such URL.
    """

    def __init__(self, url: str, *, timeout_seconds: float = TIMEOUT_SECONDS, connections: int = 1) -> None:
        scheme, login, host, path = _split(url)
        self._place = f"{scheme}://{host}{path}"
        self._prefix = path
        self._timeout = timeout_seconds
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "User-Agent": f"aurora-agent/{__version__}",
        }
        if login:
            headers["Authorization"] = f"Basic {b64encode(login.encode()).decode()}"
        self._pool = urllib3.connection_from_url(
            f"{scheme}://{host}", maxsize=connections, headers=headers, timeout=urllib3.Timeout(total=timeout_seconds)
        )
        self._workers = Workers(connections, "aurora-http")

    @property
    def endpoint(self) -> str:
        """The registry's URL, without user and password."""
        return self._place

    async def register(self, registration: Mapping[str, Any]) -> Reply:
        """OK with the interval that the registry wants; CONFLICT, REFUSED, ... with its reason."""
        response = await self._ask("POST", "/nodes/register", registration)
        if isinstance(response, Reply):
            return response
        if response.status not in REGISTERED:
            return answer_of(response, self._place)
        try:
            interval = msgspec.json.decode(response.data, type=_Registered).heartbeat_interval_seconds
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return answer_of(response, self._place)
        return Reply(Outcome.OK, heartbeat_interval_seconds=interval)

    async def heartbeat(self, node: str, report: Mapping[str, Any]) -> Reply:
        """OK, or UNKNOWN, DEPARTED, ... with the registry's reason."""
        return await self._say("POST", f"/nodes/{quote(node, safe='')}/heartbeat", report)

    async def leave(self, node: str) -> Reply:
        """OK, also when the node was deregistered before."""
        return await self._say("DELETE", f"/nodes/{quote(node, safe='')}", None)

    async def set_lifecycle(self, node: str, phase: str, leave: Mapping[str, Any] | None) -> Reply:
        """As people do: take the node out of service (`phase`: maintenance or drain; `leave`: reason, until), or, with
        None, put it back.
        """  # noqa: D205 - one sentence
        response = await self._ask("PUT" if leave else "DELETE", f"/nodes/{quote(node, safe='')}/{phase}", leave)
        if isinstance(response, Reply):
            return response
        return OK if response.status == STATUS_OK else answer_of(response, self._place)

    async def aclose(self) -> None:
        """Close the connections that nobody uses; the others close when their calls end."""
        self._workers.close()
        self._pool.close()

    async def _say(self, method: str, path: str, body: Mapping[str, Any] | None) -> Reply:
        response = await self._ask(method, path, body)
        if isinstance(response, Reply):
            return response
        return OK if response.status == NO_CONTENT or _is_partial(response) else answer_of(response, self._place)

    async def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> urllib3.BaseHTTPResponse | Reply:
        content = None if body is None else msgspec.json.encode(body)

        def request() -> urllib3.BaseHTTPResponse:
            return self._pool.urlopen(method, self._prefix + path, content, retries=False, redirect=False)

        def request_on_a_living_connection() -> urllib3.BaseHTTPResponse:
            try:
                return request()
            except ProtocolError:
                # The registry ended a connection that had been idle, just as we spoke. All that we say may be repeated.
                return request()

        try:
            return await self._workers.call(request_on_a_living_connection, within=self._timeout + GRACE_SECONDS)
        except (HTTPError, TimeoutError) as error:
            return unreachable(error, self._place, self._timeout)


class _Registered(msgspec.Struct):
    heartbeat_interval_seconds: float


class _Partial(msgspec.Struct):
    """A heartbeat counted, and this was left out of it."""

    ignored: list[Any]


def _is_partial(response: urllib3.BaseHTTPResponse) -> bool:
    try:
        msgspec.json.decode(response.data, type=_Partial)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return response.status == STATUS_OK


def _split(url: str) -> tuple[str, str, str, str]:
    """Scheme, `user:password`, host with port, and path."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # what stands for the port is none
        fits = False
    if not fits or parts.query or parts.fragment or not url.isascii() or not url.isprintable() or " " in url:
        # The value is not repeated: it may hold a password.
        raise Invalid.of("", "expected the registry's URL, such as http://10.0.0.1:9999")
    login, _, host = parts.netloc.rpartition("@")
    return parts.scheme, unquote(login), host, parts.path.rstrip("/")
