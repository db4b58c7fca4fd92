"""Heartbeats over HTTP: one by one on the shortest way there is, or many at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from exporter.api.bodies import JSON_ONLY, NDJSON, LargeBodies, check_body, is_large, media_type, read_body
from exporter.api.problems import Problem
from exporter.api.responses import Handler, ResponseSender, document_response, encode
from exporter.api.service import Service
from exporter.auth.audit import ACTOR, Actor
from exporter.domain import strictjson
from exporter.domain.errors import DepartedNode, Fault, Invalid, UnknownNode
from exporter.domain.heartbeat import Heartbeat, Ignored, Reason, check_name
from exporter.domain.node import Node
from exporter.domain.parsing import heartbeat_of, parse_heartbeat, without_body
from exporter.domain.status import Transport
from exporter.domain.text import shown
from exporter.exposition.yielder import Yielder

PREFIX, SUFFIX = "/nodes/", "/heartbeat"
HEARTBEAT, HEARTBEATS = "/nodes/{name}/heartbeat", "/heartbeats"
MAX_TOGETHER = 20_000
"""So many rejections are still an answer of a few megabytes."""
MAX_IGNORED_TOGETHER = 1000
"""At most this many ignored parts are listed."""
TOO_LARGE = 413
STEP = 20
"""Heartbeats between two looks at the time."""
END: Message = {"type": "http.response.body"}

_split = msgspec.json.Decoder(list[msgspec.Raw]).decode


def node_in(path: str) -> str:
    """The name of the node whose heartbeat the path is; empty where it is no single node's heartbeat."""
    if path.endswith(SUFFIX) and path.startswith(PREFIX):
        name = path[len(PREFIX) : -len(SUFFIX)]
        return "" if "/" in name else name
    return ""


class TakeHeartbeat:
    """`POST /nodes/{name}/heartbeat` as a plain ASGI application: it is called more often than all else together."""

    def __init__(self, service: Service, bodies: LargeBodies) -> None:
        self._service = service
        self._bodies = bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take it in and answer."""
        await self.take(node_in(scope["path"]), dict(scope["headers"]), receive, ResponseSender(send, []))

    async def take(self, name: str, headers: Mapping[bytes, bytes], receive: Receive, answer: ResponseSender) -> None:
        """Take in a heartbeat of the node of this name, and answer 204, or 200 with what was left out.

        Raises what the node map raises.
        """
        too_large = _too_large(headers, self._service.config.limits.max_body)
        if too_large is not None and b"expect" in headers:
            answer.headers.append((b"connection", b"close"))
        if is_large(headers):
            with self._bodies.taken(receive, heartbeats=True) as taken:
                node = await self._record(name, taken, too_large)
        else:
            node = await self._record(name, receive, too_large)
        if node.ignored:
            body = encode({"ignored": [_named_fault(part) for part in node.ignored]})
            more = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
            await answer({"type": "http.response.start", "status": 200, "headers": more})
            await answer({"type": "http.response.body", "body": body})
        else:
            # Past the sender, which has nothing to add.
            answer.status = 204
            await answer.send({"type": "http.response.start", "status": 204, "headers": answer.headers})
            await answer.send(END)

    async def _record(self, name: str, receive: Receive, refused: Problem | None) -> Node:
        """`refused`: why the body is not to be read. The node lives all the same; it is raised if that is unknown."""
        service = self._service
        body = b""
        if refused is None:
            try:
                body = await read_body(receive, service.config.limits.max_body)
            except Problem as problem:
                refused = problem
        if refused is not None:
            if service.node_map.find(name) is None:
                raise refused
            beat: Heartbeat = without_body(name, Fault("", refused.detail), Reason.TOO_LARGE)
        else:
            beat = parse_heartbeat(body, node=name) if body else Heartbeat()
        if beat.node != name:
            if beat.node:
                raise Invalid.of("node", f"expected {shown(name)} as in the path, or none, got {shown(beat.node)}")
            beat.node = name
        node = service.node_map.heartbeat(beat, Transport.HTTP)
        service.telemetry.heartbeats[Transport.HTTP] += 1
        return node


def take_heartbeats(service: Service) -> Handler:
    """Many heartbeats: each is taken in or rejected by itself, with its position (from 0) and what is wrong with it."""

    async def handle(request: Request) -> Response:
        body = await read_body(request.receive, service.config.limits.max_body)
        items = _lines(body) if media_type(request.headers.get("content-type")) == NDJSON else _array(body)
        if len(items) > MAX_TOGETHER:
            raise _too_many(len(items))
        node_map, yielder = service.node_map, Yielder()
        actor: Actor = request.scope[ACTOR]
        accepted, rejected = 0, []
        ignored: list[dict[str, Any]] = []
        for index, item in enumerate(items):
            try:
                beat = _named(item)
                if not actor.may_act_for(beat.node):
                    raise Invalid.of("node", f"expected {actor.principal}, whose token was sent, got {beat.node}")
                node = node_map.heartbeat(beat, Transport.HTTP)
            except (Invalid, UnknownNode, DepartedNode) as error:
                rejected.append({"index": index, "error": str(error)})
            else:
                accepted += 1
                if node.ignored and len(ignored) < MAX_IGNORED_TOGETHER:
                    ignored += [{"index": index, **_named_fault(part)} for part in node.ignored]
            if index % STEP == 0:
                await yielder.maybe_yield()
        service.telemetry.heartbeats[Transport.HTTP] += accepted
        return document_response(
            {"accepted": accepted, "rejected": rejected, **({"ignored": ignored} if ignored else {})}
        )

    return handle


def _too_large(headers: Mapping[bytes, bytes], max_body: int) -> Problem | None:
    """A heartbeat's body that is too large is no refusal: the node lives whatever it sends. Raises the others."""
    try:
        check_body(headers, max_body, JSON_ONLY)
    except Problem as problem:
        if problem.status != TOO_LARGE:
            raise
        return problem
    return None


def _named_fault(part: Ignored) -> dict[str, str]:
    return {"field": part.field, "message": part.message}


def _named(item: Any) -> Heartbeat:
    beat = parse_heartbeat(bytes(item)) if isinstance(item, bytes | msgspec.Raw) else heartbeat_of(item)
    if not beat.node:
        raise Invalid.of("node", "required")
    check_name(beat.node)
    return beat


def _lines(body: bytes) -> list[Any]:
    # Empty ones are no heartbeats, but splitting costs time for them too.
    if (ends := body.count(b"\n")) > 2 * MAX_TOGETHER:
        raise _too_many(ends)
    return [line for line in body.split(b"\n") if line.strip()]


def _too_many(number: int) -> Invalid:
    return Invalid.of("", f"expected at most {MAX_TOGETHER} heartbeats at once, got {number}")


def _array(body: bytes) -> list[Any]:
    try:
        # Split in one pass in C; each heartbeat is then parsed, and refused, by itself.
        return list(_split(body))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        value = strictjson.loads(body)
    if not isinstance(value, list):
        raise Invalid.of("", f"expected a JSON array of heartbeats, got {shown(value)}")
    return value
