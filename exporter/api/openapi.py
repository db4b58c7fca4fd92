"""`GET /openapi.json`: all that is served, from the routes themselves and the types of the answers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from exporter import __version__
from exporter.api.alerts import Alerts
from exporter.api.queries import FILTERS
from exporter.api.responses import Handler, document_response
from exporter.api.verdict import Verdict
from exporter.client import documents

PATH = "/openapi.json"
OMITTED = frozenset({"HEAD", "OPTIONS"})
_FILTERS = tuple(FILTERS)
TYPES: dict[tuple[str, str], type] = {
    ("GET", "/nodes"): documents.NodePage,
    ("GET", "/nodes/{name}"): documents.Node,
    ("GET", "/nodes/{name}/why"): documents.Why,
    ("GET", "/nodes/{name}/transitions"): documents.NodeTransitions,
    ("POST", "/nodes/register"): documents.Registered,
    ("POST", "/nodes/{name}/accept"): documents.Node,
    ("POST", "/nodes/{name}/heartbeat"): documents.Accepted,
    ("PUT", "/nodes/{name}/maintenance"): documents.Node,
    ("DELETE", "/nodes/{name}/maintenance"): documents.Node,
    ("PUT", "/nodes/{name}/drain"): documents.Node,
    ("DELETE", "/nodes/{name}/drain"): documents.Node,
    ("GET", "/transitions"): documents.Recent,
    ("GET", "/topology"): documents.Topology,
    ("GET", "/stats"): documents.Stats,
    ("GET", "/mesh"): Verdict,
    ("GET", "/alerts"): Alerts,
}
"""Answers in JSON whose shape has a type."""
QUERIES: dict[str, tuple[str, ...]] = {
    "/nodes": (*_FILTERS, "sort", "limit", "after"),
    "/events": _FILTERS,
    "/sd/prometheus": (*_FILTERS, "port"),
    "/transitions": ("since", "limit"),
    "/nodes/{name}/transitions": ("limit",),
}
PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}


def show_schema(routes: Sequence[Route]) -> Handler:
    """The document; it is made when it is first asked for."""
    made: list[dict[str, Any]] = []

    async def handle(_: Request) -> Response:
        if not made:
            made.append(document(routes))
        return document_response(made[0])

    return handle


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """OpenAPI 3.1 of these routes."""
    kinds = list(dict.fromkeys(TYPES.values()))
    references, schemas = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    schema_of = dict(zip(kinds, references, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        for method in sorted((route.methods or set()) - OMITTED):
            answer = TYPES.get((method, route.path))
            schema = schema_of[answer] if answer else None
            paths.setdefault(route.path, {})[method.lower()] = _operation(method, route, schema)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Aurora Node Registry", "version": __version__, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {"schemas": {**schemas, "Problem": PROBLEM}},
    }


def _operation(method: str, route: Route, schema: dict[str, Any] | None) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", route.path)
    ]
    if method == "GET":
        parameters += [
            {"name": name, "in": "query", "schema": {"type": "string"}} for name in QUERIES.get(route.path, ())
        ]
    success: dict[str, Any] = {"description": "Success"}
    if schema is not None:
        success["content"] = {"application/json": {"schema": schema}}
    operation: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{method.lower()}{route.path}").strip("_"),
        "parameters": parameters,
        "responses": {
            "2XX": success,
            "3XX": {"description": "What the caller has is current"},
            "default": {
                "description": "Refused; nothing was applied",
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            },
        },
    }
    if method in {"POST", "PUT"}:
        operation["requestBody"] = {"content": {"application/json": {"schema": {}}}}
    return operation
