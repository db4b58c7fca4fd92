"""Reading nodes: all of them, one, and one's transitions."""

from __future__ import annotations

import secrets
from hashlib import blake2s

from starlette.requests import Request
from starlette.responses import Response

from exporter.api.documents import Renderer, timestamp
from exporter.api.listing import Roster, parse_listing, place_of, render
from exporter.api.queries import integer, parse_query
from exporter.api.renderings import Renderings, SharedResponse, collect
from exporter.api.responses import JSON, Handler, document_response, head_response, json_response
from exporter.api.service import Service
from exporter.domain.errors import UnknownNode

MAX_TRANSITIONS = 1000
MAX_TAGS = 64
"""Of If-None-Match; the others are not looked at."""
DEFAULT_TRANSITIONS = 100


def list_nodes(service: Service, renderings: Renderings) -> Handler:
    """All nodes that the query chooses. The ETag costs no look at them, so that polling for changes is cheap."""
    # Versions start at zero with each process, so an ETag holds for this one only.
    process = secrets.token_hex(6)
    roster = Roster()

    async def handle(request: Request) -> Response:
        node_map = service.node_map
        query_string: bytes = request.scope["query_string"]
        listing = parse_listing(query_string)
        place = place_of(node_map, listing)
        # A sum that a caller could work out two queries for would show one's answer to who asked the other.
        asked = blake2s(query_string, digest_size=16).hexdigest() if query_string else ""
        etag = f'W/"{process}-{node_map.version:x}-{asked}"'
        headers = {"ETag": etag, "Cache-Control": "no-cache"}
        if _matches(request.headers.get("if-none-match", ""), etag):
            return Response(status_code=304, headers=headers)
        if request.method == "HEAD":
            return head_response(headers, JSON)
        body = await renderings.get(etag, lambda: collect(render(node_map, roster, listing, place)))
        return SharedResponse(body, headers, JSON)

    return handle


def show_node(service: Service) -> Handler:
    """One node's document."""

    async def handle(request: Request) -> Response:
        node_map = service.node_map
        return json_response(Renderer(node_map).document(node_map.get(request.path_params["name"])))

    return handle


def list_transitions(service: Service) -> Handler:
    """A node's recorded transitions, newest first; those of a node that is gone as long as they are kept."""

    async def handle(request: Request) -> Response:
        name = request.path_params["name"]
        node = service.node_map.find(name)
        query = parse_query(request.scope["query_string"], {"limit": integer(1, MAX_TRANSITIONS)})
        transitions = await service.transitions(name, query.get("limit", DEFAULT_TRANSITIONS))
        if node is None and not transitions:
            raise UnknownNode(name)
        shown = [{"from": each.from_, "to": each.to, "at": timestamp(each.at_ns)} for each in transitions]
        return document_response({"node": name, "transitions": shown})

    return handle


def _matches(if_none_match: str, etag: str) -> bool:
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",", MAX_TAGS)[:MAX_TAGS]]
    return "*" in tags or etag.removeprefix("W/") in tags
