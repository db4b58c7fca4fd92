"""The registry as Python sees it: one method for each thing that it does, typed answers, plain errors."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Self, TypeVar
from urllib.parse import urlencode

import msgspec

from exporter import __version__
from exporter.client.credentials import Credentials
from exporter.client.documents import (
    Accepted,
    Node,
    NodePage,
    NodeTransitions,
    Recent,
    Registered,
    Stats,
    Topology,
    Transition,
    Why,
)
from exporter.client.endpoint import DEFAULT_REGISTRY, REGISTRY_PORT, node_path, parse_endpoint
from exporter.client.errors import NotARegistry, Refused, Unreachable
from exporter.client.events import Event, parse_frames
from exporter.client.http import HttpService, NoAnswer
from exporter.client.problems import problem_of
from exporter.domain.backoff import Backoff
from exporter.domain.clock import SECOND
from exporter.domain.errors import Fault
from exporter.domain.requestoutcome import Response

T = TypeVar("T")
TIMEOUT_SECONDS = 10.0
STREAM_TIMEOUT_SECONDS = 60.0
"""A stream without an event or comment for this time counts as broken; registries send comments more often."""
MAX_PAGES = 10_000
"""Of one listing."""
OK, CREATED, NO_CONTENT, SERVER_ERRORS = 200, 201, 204, 500
MAINTENANCE, DRAIN = "maintenance", "drain"
_ANONYMOUS = Credentials()


@dataclass(frozen=True, slots=True)
class JsonReply:
    """A success: its JSON, where it came from, and when the registry sent it (its wall clock)."""

    url: str
    status: int
    body: bytes
    at_ns: int

    def of(self, shape: type[T]) -> T:
        """The answer in this shape; NotARegistry where it has another."""
        try:
            return msgspec.json.decode(self.body, type=shape)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise self._strange(error) from None

    def document(self) -> Any:
        """The answer as it came, whatever its shape."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise self._strange(error) from None

    def _strange(self, error: Exception) -> NotARegistry:
        return NotARegistry(
            f"{self.url} does not answer as a registry of this version does ({error}). "
            f"Check the address, and that this client, {__version__}, is not older than the registry."
        )


class Client:
    """Asks one registry. Every method raises Unreachable, Refused or NotARegistry (all ClientError)."""

    def __init__(
        self,
        registry: str = DEFAULT_REGISTRY,
        *,
        credentials: Credentials = _ANONYMOUS,
        timeout_seconds: float = TIMEOUT_SECONDS,
        user_agent: str = f"aurora-client/{__version__}",
    ) -> None:
        """`registry` is a host, host:port or a URL, which may hold `user:password@` and a path. Raises Invalid."""
        self._endpoint = parse_endpoint(registry, usual_port=REGISTRY_PORT)
        self._credentials = credentials
        self._user_agent = user_agent
        self._http = self._service(timeout_seconds)

    @property
    def url(self) -> str:
        """The registry's URL, without user and password."""
        return self._endpoint.url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def nodes(self, *, limit: int | None = None, **filters: Any) -> dict[str, Node]:
        """The nodes that pass all filters (role, status, gpu, site, ...: those of `GET /nodes`), by name.

        `limit`: only the first so many.
        """
        pages = self.pages(limit=limit, **filters)
        if limit is not None:
            return next(pages)[1].nodes
        return {name: node for _, page in pages for name, node in page.nodes.items()}

    def pages(self, **query: Any) -> Iterator[tuple[JsonReply, NodePage]]:
        """`GET /nodes` page by page, each of `limit` nodes; as one page where it is not given."""
        seen: set[str] = set()
        while True:
            reply = self.get("/nodes", query)
            page = reply.of(NodePage)
            yield reply, page
            if not page.next:
                return
            if page.next in seen:
                raise NotARegistry(f"{reply.url} leads in a circle: its pages repeat. Is a registry at this address?")
            if len(seen) == MAX_PAGES:
                raise NotARegistry(f"{reply.url} has more than {MAX_PAGES} pages. Is a registry at this address?")
            seen.add(page.next)
            query["after"] = page.next

    def node(self, name: str) -> Node:
        """One node's document."""
        return self.get(node_path(name)).of(Node)

    def why(self, name: str) -> Why:
        """Why it has its status."""
        return self.get(f"{node_path(name)}/why").of(Why)

    def transitions(self, name: str, limit: int = 100) -> list[Transition]:
        """A node's recorded transitions, newest first."""
        return self.get(f"{node_path(name)}/transitions", {"limit": limit}).of(NodeTransitions).transitions

    def recent(self, since: str = "24h", limit: int = 1000) -> Recent:
        """All nodes' transitions and departures since then (a duration or a time), newest first."""
        return self.get("/transitions", {"since": since, "limit": limit}).of(Recent)

    def topology(self) -> Topology:
        """The connections between nodes."""
        return self.get("/topology").of(Topology)

    def stats(self) -> Stats:
        """What the mesh adds up to."""
        return self.get("/stats").of(Stats)

    def register(self, registration: Mapping[str, Any]) -> Registered:
        """Register a node: `name` is required, the other keys are those of `POST /nodes/register`."""
        return self.call("POST", "/nodes/register", registration).of(Registered)

    def heartbeat(self, name: str, readings: Mapping[str, Any] | None = None) -> list[Fault]:
        """Send a heartbeat; readings that the registry left out, with the reason."""
        reply = self.call("POST", f"{node_path(name)}/heartbeat", readings)
        if reply.status == NO_CONTENT:
            return []
        return [Fault(fault.field, fault.message) for fault in reply.of(Accepted).ignored]

    def deregister(self, name: str) -> None:
        """A planned leave: never an alert."""
        self.call("DELETE", node_path(name))

    def maintenance(self, name: str, *, until: str | None = None, reason: str | None = None) -> Node:
        """Put the node into maintenance, until a time or for a duration (24h)."""
        return self.set_lifecycle(name, MAINTENANCE, until=until, reason=reason)

    def drain(self, name: str, *, until: str | None = None, reason: str | None = None) -> Node:
        """Let the node drain, until a time or for a duration (24h)."""
        return self.set_lifecycle(name, DRAIN, until=until, reason=reason)

    def end_maintenance(self, name: str) -> Node:
        """Put the node back in service, if maintenance kept it out of it."""
        return self.call("DELETE", f"{node_path(name)}/{MAINTENANCE}").of(Node)

    def end_drain(self, name: str) -> Node:
        """Put the node back in service, if it drained."""
        return self.call("DELETE", f"{node_path(name)}/{DRAIN}").of(Node)

    def set_lifecycle(self, name: str, phase: str, *, until: str | None, reason: str | None) -> Node:
        """Take the node out of service: `phase` is maintenance or drain."""
        leave = {key: value for key, value in (("until", until), ("reason", reason)) if value is not None}
        return self.call("PUT", f"{node_path(name)}/{phase}", leave).of(Node)

    def events(self, last_id: str = "", *, retry: bool = True, **filters: Any) -> Iterator[Event]:
        """Events as they happen, without end; filters as of `nodes`. `last_id` resumes behind that event.

        With `retry` a stream that breaks off is resumed, again and again. What fails before it began, and a refusal,
        is raised at once.
        """
        backoff, begun = Backoff(random.random), False
        while True:
            try:
                for event in self._stream(last_id, filters):
                    last_id, begun = event.id or last_id, True
                    backoff.reset()
                    if event.type:
                        yield event
            except Unreachable:
                if not (retry and begun):
                    raise
            except Refused as refused:
                if not (retry and begun) or refused.status < SERVER_ERRORS:
                    raise
            if not retry:
                return
            time.sleep(backoff.next())

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> JsonReply:
        """The answer to a GET; parameters that are None are left out."""
        parameters = {name: _parameter(value) for name, value in (query or {}).items() if value is not None}
        return self.call("GET", f"{path}?{urlencode(parameters)}" if parameters else path)

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> JsonReply:
        """The answer to any request, a body as JSON; the one place where refusals are classified."""
        content = None if body is None else msgspec.json.encode(body)
        try:
            response = self._http.request(method, path, content)
        except NoAnswer as error:
            raise Unreachable(self._endpoint, error) from None
        return self._success(path, response)

    def _stream(self, last_id: str, filters: Mapping[str, Any]) -> Iterator[Event]:
        parameters = {name: _parameter(value) for name, value in filters.items() if value is not None}
        path = f"/events?{urlencode(parameters)}" if parameters else "/events"
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": last_id} if last_id else {})}
        try:
            with self._service(STREAM_TIMEOUT_SECONDS).stream(path, headers) as (head, lines):
                self._success(path, head)
                yield from parse_frames(lines)
        except NoAnswer as error:
            raise Unreachable(self._endpoint, error) from None

    def _service(self, timeout_seconds: float) -> HttpService:
        return HttpService(
            self._endpoint,
            timeout_seconds=timeout_seconds,
            user_agent=self._user_agent,
            credentials=self._credentials,
        )

    def _success(self, path: str, response: Response) -> JsonReply:
        if response.status in {OK, CREATED, NO_CONTENT}:
            url = self._endpoint.url + path.partition("?")[0]
            return JsonReply(url, response.status, response.body, _sent_at_ns(response))
        problem = problem_of(response)
        if problem is not None:
            raise Refused(response, problem)
        moved = response.headers.get("location")
        raise NotARegistry(
            f"{self._endpoint.url} answered {response.status} {response.reason}".rstrip()
            + (f", and points to {moved}" if moved else "")
            + ": no registry of ours says that. Check the address"
        )


def _parameter(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _sent_at_ns(response: Response) -> int:
    # Ages are measured by the registry's clock: ours may be wrong, and is asked only where a proxy drops the Date.
    try:
        return int(parsedate_to_datetime(response.headers["date"]).timestamp()) * SECOND
    except (KeyError, ValueError, OverflowError):
        return time.time_ns()
