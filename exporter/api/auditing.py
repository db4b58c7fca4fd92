"""`GET /audit`: who changed what."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response

from exporter.api.queries import integer, name_of, parse_query
from exporter.api.renderings import Renderings, SharedResponse, collect
from exporter.api.responses import JSON, Handler, encode
from exporter.api.service import Service
from exporter.api.transitions import since
from exporter.auth.audit import Entry
from exporter.exposition.yielder import Yielder

DEFAULT_LIMIT, MAX_LIMIT = 100, 10_000
CHUNK = 200
"""Entries between two looks at the time."""


def list_entries(service: Service, renderings: Renderings) -> Handler:
    """The latest changes that people and programs made, newest first; of one node, or since a time, where asked."""

    async def handle(request: Request) -> Response:
        parameters = {"limit": integer(1, MAX_LIMIT), "node": name_of, "since": since(service.clock.wall_ns())}
        query_string: bytes = request.scope["query_string"]
        query = parse_query(query_string, parameters)
        asked = query.get("limit", DEFAULT_LIMIT), query.get("node", ""), query.get("since", 0)
        key = ("audit", service.audit.number, query_string)
        body = await renderings.get(key, lambda: collect(_render(service.audit.latest(*asked))))
        return SharedResponse(body, media_type=JSON)

    return handle


async def _render(entries: list[Entry]) -> AsyncIterator[bytes]:
    yielder = Yielder()
    yield b'{"entries":['
    for start in range(0, len(entries), CHUNK):
        yield (b"," if start else b"") + encode(entries[start : start + CHUNK])[1:-1]
        await yielder.maybe_yield()
    yield b"]}"
