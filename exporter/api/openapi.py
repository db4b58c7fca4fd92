"""`GET /openapi.json`: all that is served, from the routes themselves and the types of bodies and answers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from exporter import __version__
from exporter.api.access import OPEN
from exporter.api.bodies import NDJSON
from exporter.api.heartbeats import HEARTBEATS
from exporter.api.operations import METRICS, NAME_PATTERN, OPERATIONS, Operation
from exporter.api.responses import JSON, Handler, encode, json_response
from exporter.domain.registration import Capabilities, Metadata, RegistrationBody

PATH = "/openapi.json"
OMITTED = frozenset({"HEAD", "OPTIONS"})
READ_REFUSALS, WRITE_REFUSALS = (401, 403, 429, 503), (400, 401, 403, 413, 415, 429, 503)
NODE_PATH = "/nodes/{name}"
REFERENCE = "#/components/schemas/{name}"
SECURITY = {
    "token": {"type": "http", "scheme": "bearer", "description": "A token of auth.*_token_file, or a node's own"},
    "password": {"type": "http", "scheme": "basic", "description": "A user of web.config_file; or a token as password"},
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


def show_schema(routes: Sequence[Route], telemetry_path: str) -> Handler:
    """The document; it is made when it is first asked for."""
    made = b""

    async def handle(_: Request) -> Response:
        nonlocal made
        made = made or encode(document(routes, telemetry_path))
        return json_response(made)

    return handle


def document(routes: Iterable[Route], telemetry_path: str) -> dict[str, Any]:
    """OpenAPI 3.1 of these routes."""
    served = [
        (method, route.path, OPERATIONS[method, METRICS if route.path == telemetry_path else route.path])
        for route in routes
        for method in sorted((route.methods or set()) - OMITTED)
    ]
    kinds = list(dict.fromkeys(kind for _, _, operation in served for kind in _types(operation)))
    kinds += [Capabilities, Metadata]
    references, schemas = msgspec.json.schema_components(kinds, ref_template=REFERENCE)
    schema_of = dict(zip(kinds, references, strict=True))
    # The two are looked into apart from the rest of a registration, and are kept as they come.
    for part in (Capabilities, Metadata):
        schemas[RegistrationBody.__name__]["properties"][part.__name__.lower()] = schema_of[part]
    paths: dict[str, dict[str, Any]] = {}
    for method, path, operation in served:
        paths.setdefault(path, {})[method.lower()] = _described(method, path, operation, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Aurora Node Registry", "version": __version__, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {"schemas": {**_portable(schemas), "Problem": PROBLEM}, "securitySchemes": SECURITY},
    }


def _types(operation: Operation) -> Iterator[Any]:
    yield from (answer for answer in operation.answers.values() if answer and not isinstance(answer, tuple))
    if operation.body is not None:
        yield operation.body


def _described(method: str, path: str, operation: Operation, schema_of: dict[Any, Any]) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": _path_schema(path)}
        for name in re.findall(r"{(\w+)}", path)
    ]
    parameters += [{"name": name, "in": "query", "schema": schema} for name, schema in operation.query.items()]
    described: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{method.lower()}{path}").strip("_"),
        "summary": operation.summary,
        # What a call needs depends on the configuration: by default a write needs a trusted network and nothing else.
        "security": [] if path in OPEN else [{}, {"token": []}, {"password": []}],
        "parameters": parameters,
        "responses": _responses(method, path, operation, schema_of),
    }
    if operation.body is not None:
        content = {JSON: {"schema": schema_of[operation.body]}}
        if path == HEARTBEATS:
            content[NDJSON] = {"schema": {"type": "string", "description": "One heartbeat a line"}}
        described["requestBody"] = {"required": operation.body_required, "content": content}
    return described


def _path_schema(path: str) -> dict[str, Any]:
    return {"type": "string", "pattern": NAME_PATTERN} if path.startswith(NODE_PATH) else {"type": "string"}


def _responses(method: str, path: str, operation: Operation, schema_of: dict[Any, Any]) -> dict[str, Any]:
    refusals = {*operation.refusals, *(READ_REFUSALS if method == "GET" else WRITE_REFUSALS)}
    if "{" in path:
        refusals.add(404)
    if operation.query:
        refusals.add(400)
    problem = {"application/problem+json": {"schema": {"$ref": REFERENCE.format(name="Problem")}}}
    responses: dict[str, Any] = {
        str(status): {"description": HTTPStatus(status).phrase, "content": problem} for status in sorted(refusals)
    }
    for status, answer in operation.answers.items():
        responses[str(status)] = {"description": HTTPStatus(status).phrase}
        if isinstance(answer, tuple):
            responses[str(status)]["content"] = {media_type: {"schema": {"type": "string"}} for media_type in answer}
        elif answer is not None:
            responses[str(status)]["content"] = {JSON: {"schema": schema_of[answer]}}
    responses["default"] = {"description": "Refused; nothing was applied", "content": problem}
    return dict(sorted(responses.items()))


def _portable(value: Any) -> Any:
    r"""Patterns as ECMA-262 has them: it knows no `\Z`."""
    if isinstance(value, dict):
        return {
            key: each.replace(r"\Z", "$") if key == "pattern" and isinstance(each, str) else _portable(each)
            for key, each in value.items()
        }
    return [_portable(each) for each in value] if isinstance(value, list) else value
