"""`GET /audit`: who changed what."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from exporter.api.queries import integer, name_of, parse_query
from exporter.api.responses import Handler, document_response
from exporter.api.service import Service
from exporter.api.transitions import since

DEFAULT_LIMIT, MAX_LIMIT = 100, 10_000


def list_entries(service: Service) -> Handler:
    """The latest changes that people and programs made, newest first; of one node, or since a time, where asked."""

    async def handle(request: Request) -> Response:
        parameters = {"limit": integer(1, MAX_LIMIT), "node": name_of, "since": since(service.clock.wall_ns())}
        query = parse_query(request.scope["query_string"], parameters)
        entries = service.audit.latest(query.get("limit", DEFAULT_LIMIT), query.get("node", ""), query.get("since", 0))
        return document_response({"entries": entries})

    return handle
