"""Nodes over REST, for programs that send for many at once: asyncio outside, a few threads inside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from exporter import __version__
from exporter.client.credentials import Credentials
from exporter.client.endpoint import REGISTRY_PORT, node_path, parse_endpoint
from exporter.client.http import Cause, HttpService, NoAnswer, no_answer
from exporter.client.problems import problem_of, retry_after_seconds
from exporter.client.workers import Workers
from exporter.domain.requestoutcome import OK, Outcome, Reply, Response, outcome_of
from exporter.domain.text import shown

TIMEOUT_SECONDS = 5.0
GRACE_SECONDS = 0.5
"""How much longer than for the exchange we wait: the look-up of a host name has no deadline of its own."""
REGISTERED = (200, 201)
STATUS_OK = 200
NO_CONTENT = 204
_ANONYMOUS = Credentials()
_NEXT_STEP = {
    Cause.HOST_NAME: ": check it, and the resolver",
    Cause.TLS: ": for a private authority, AURORA_CA_FILE names its certificate; http:// is for a registry without TLS",
}


class HttpClient:
    """A RegistryClient over HTTP or HTTPS; up to `connections` calls are under way at once, the others wait.

    `url` may hold `user:password@`, for a registry behind basic authentication, and a path, for one behind a proxy.
    Raises Invalid for what is no such URL.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        connections: int = 1,
        credentials: Credentials = _ANONYMOUS,
    ) -> None:
        self._http = HttpService(
            parse_endpoint(url, usual_port=REGISTRY_PORT),
            timeout_seconds=timeout_seconds,
            user_agent=f"aurora-agent/{__version__}",
            credentials=credentials,
            keep=connections,
        )
        self._timeout = timeout_seconds
        self._workers = Workers(connections, "aurora-http")

    @property
    def endpoint(self) -> str:
        """The registry's URL, without user and password."""
        return self._http.endpoint.url

    async def register(self, registration: Mapping[str, Any]) -> Reply:
        """OK with the interval that the registry wants; CONFLICT, REFUSED, ... with its reason."""
        response = await self._ask("POST", "/nodes/register", registration)
        if isinstance(response, Reply):
            return response
        if response.status not in REGISTERED:
            return _refusal(response, self.endpoint)
        try:
            interval = msgspec.json.decode(response.body, type=_Registered).heartbeat_interval_seconds
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return _refusal(response, self.endpoint)
        return Reply(Outcome.OK, document={"heartbeat_interval_seconds": interval})

    async def heartbeat(self, node: str, report: Mapping[str, Any]) -> Reply:
        """OK, or UNKNOWN, DEPARTED, ... with the registry's reason."""
        return await self._send("POST", f"{node_path(node)}/heartbeat", report)

    async def leave(self, node: str) -> Reply:
        """OK, also when the node was deregistered before."""
        return await self._send("DELETE", node_path(node), None)

    async def set_lifecycle(self, node: str, phase: str, leave: Mapping[str, Any] | None) -> Reply:
        """As people do: take the node out of service (`phase`: maintenance or drain; `leave`: reason, until), or, with
        None, put it back.
        """  # noqa: D205 - one sentence
        response = await self._ask("PUT" if leave else "DELETE", f"{node_path(node)}/{phase}", leave)
        if isinstance(response, Reply):
            return response
        return OK if response.status == STATUS_OK else _refusal(response, self.endpoint)

    async def aclose(self) -> None:
        """Close the connections that nobody uses; the others close when their calls end."""
        self._workers.close()
        self._http.close()

    async def _send(self, method: str, path: str, body: Mapping[str, Any] | None) -> Reply:
        response = await self._ask(method, path, body)
        if isinstance(response, Reply):
            return response
        return OK if response.status == NO_CONTENT or _is_partial(response) else _refusal(response, self.endpoint)

    async def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> Response | Reply:
        content = None if body is None else msgspec.json.encode(body)
        try:
            return await self._workers.call(
                lambda: self._http.request(method, path, content), within=self._timeout + GRACE_SECONDS
            )
        except NoAnswer as error:
            return _unreachable(error, self.endpoint)
        except TimeoutError as error:
            return _unreachable(no_answer(error, self._timeout), self.endpoint)


class _Registered(msgspec.Struct):
    heartbeat_interval_seconds: float


class _Partial(msgspec.Struct):
    """A heartbeat counted, and this was left out of it."""

    ignored: list[Any]


def _is_partial(response: Response) -> bool:
    try:
        msgspec.json.decode(response.body, type=_Partial)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return response.status == STATUS_OK


def _refusal(response: Response, endpoint: str) -> Reply:
    """What a response that is no success means.

    What no registry of ours says is UNAVAILABLE: a proxy whose registry is down, or the login page of a hotel's
    network, is gone in a while.
    """
    status, problem = response.status, problem_of(response)
    if problem is None:
        moved = response.headers.get("location")
        pointer = f" and points to {shown(moved)}" if moved else ""
        return Reply(
            Outcome.UNAVAILABLE, f"{endpoint} answers {status}{pointer}, which no registry says: check the address"
        )
    reason = problem.reason or f"{endpoint} answers {status}"
    return Reply(outcome_of(status, problem.type), reason, retry_after_seconds(response))


def _unreachable(error: NoAnswer, endpoint: str) -> Reply:
    """Why no answer came."""
    return Reply(Outcome.UNREACHABLE, f"{endpoint}: {error}{_NEXT_STEP.get(error.cause, '')}")
