"""`GET /transitions`: what happened lately in the whole mesh, so that what was suppressed can be seen."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from exporter.api.documents import timestamp
from exporter.api.queries import integer, parse_moment, parse_query
from exporter.api.responses import Handler, document_response
from exporter.api.service import Service
from exporter.domain.duration import DAY
from exporter.domain.text import shown

DEFAULT_SINCE = DAY
LONGEST_SINCE = 7 * DAY
"""So long the history of a node that is gone is kept."""
DEFAULT_LIMIT, MAX_LIMIT = 1_000, 10_000
EXPECTED = "expected a duration such as 24h or a time such as 2025-10-06T12:00:05Z, within the last 7 days"


def list_recent(service: Service) -> Handler:
    """All nodes' transitions and departures, newest first; `complete` is false where `limit` cut some off."""

    async def handle(request: Request) -> Response:
        wall_ns = service.node_map.clock.wall_ns()
        parameters = {"since": since(wall_ns), "limit": integer(1, MAX_LIMIT)}
        query = parse_query(request.scope["query_string"], parameters)
        since_ns, limit = query.get("since", wall_ns - DEFAULT_SINCE), query.get("limit", DEFAULT_LIMIT)
        recent = await service.recent(since_ns, limit + 1)
        transitions = [
            {"node": each.node, "from": each.from_, "to": each.to, "at": timestamp(each.at_ns)}
            for each in recent.transitions[:limit]
        ]
        departures = [
            {"node": each.name, "reason": each.removal, "at": timestamp(each.at_ns)}
            for each in recent.tombstones[:limit]
        ]
        return document_response(
            {
                "since": timestamp(since_ns),
                "transitions": transitions,
                "departures": departures,
                "complete": max(len(recent.transitions), len(recent.tombstones)) <= limit,
                "timestamp": timestamp(wall_ns),
            }
        )

    return handle


def since(wall_ns: int) -> Callable[[str], int]:
    """A reader of times within the last days: nanoseconds of the wall clock."""

    def read(text: str) -> int:
        since_ns = parse_moment(text, wall_ns, direction=-1, expected=EXPECTED)
        if not wall_ns - LONGEST_SINCE <= since_ns <= wall_ns:
            raise ValueError(f"{EXPECTED}, got {shown(text)}")
        return since_ns

    return read
