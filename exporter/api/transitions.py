"""`GET /transitions`: what happened recently in the whole mesh, so that what was suppressed can be seen."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from starlette.requests import Request
from starlette.responses import Response

from exporter.api.documents import timestamp
from exporter.api.queries import integer, parse_moment, parse_query
from exporter.api.renderings import Renderings, SharedResponse, collect
from exporter.api.responses import JSON, Handler, encode
from exporter.api.service import Service
from exporter.domain.duration import DAY
from exporter.domain.text import shown
from exporter.exposition.yielder import Yielder

DEFAULT_SINCE = DAY
LONGEST_SINCE = 7 * DAY
"""How long a store keeps the history of a node that is gone."""
CHUNK = 200
"""Entries between two looks at the time."""
DEFAULT_LIMIT, MAX_LIMIT = 1_000, 10_000
EXPECTED = "expected a duration such as 24h or a time such as 2025-10-06T12:00:05Z, within the last 7 days"


def list_recent(service: Service, renderings: Renderings) -> Handler:
    """All nodes' transitions and departures, newest first; `complete` is false where `limit` cut some off."""

    async def handle(request: Request) -> Response:
        node_map = service.node_map
        wall_ns = node_map.clock.wall_ns()
        parameters = {"since": since(wall_ns), "limit": integer(1, MAX_LIMIT)}
        query_string: bytes = request.scope["query_string"]
        query = parse_query(query_string, parameters)
        since_ns, limit = query.get("since", wall_ns - DEFAULT_SINCE), query.get("limit", DEFAULT_LIMIT)
        key = ("transitions", node_map.version, query_string)
        body = await renderings.get(key, lambda: collect(_render(service, since_ns, limit)))
        return SharedResponse(body, media_type=JSON)

    return handle


async def _render(service: Service, since_ns: int, limit: int) -> AsyncIterator[bytes]:
    recent = await service.recent(since_ns, limit + 1)
    yielder = Yielder()
    transitions, departures = recent.transitions[:limit], recent.tombstones[:limit]
    yield b'{"since":"%b","transitions":[' % timestamp(since_ns).encode()
    for start in range(0, len(transitions), CHUNK):
        chunk = [
            {"node": each.node, "from": each.from_, "to": each.to, "at": timestamp(each.at_ns)}
            for each in transitions[start : start + CHUNK]
        ]
        yield (b"," if start else b"") + encode(chunk)[1:-1]
        await yielder.maybe_yield()
    yield b'],"departures":['
    for start in range(0, len(departures), CHUNK):
        gone = [
            {"node": each.name, "reason": each.removal, "at": timestamp(each.at_ns)}
            for each in departures[start : start + CHUNK]
        ]
        yield (b"," if start else b"") + encode(gone)[1:-1]
        await yielder.maybe_yield()
    complete = max(len(recent.transitions), len(recent.tombstones)) <= limit
    now = timestamp(service.node_map.clock.wall_ns())
    yield b'],"complete":%b,"timestamp":"%b"}' % (encode(complete), now.encode())


def since(wall_ns: int) -> Callable[[str], int]:
    """A reader of times within the last days: nanoseconds of the wall clock."""

    def read(text: str) -> int:
        since_ns = parse_moment(text, wall_ns, direction=-1, expected=EXPECTED)
        if not wall_ns - LONGEST_SINCE <= since_ns <= wall_ns:
            raise ValueError(f"{EXPECTED}, got {shown(text)}")
        return since_ns

    return read
