"""What all requests share, in one layer: ids, trust, bodies, origins, errors, durations."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from functools import partial
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from exporter.api.access import Access
from exporter.api.bodies import (
    JSON_ONLY,
    JSON_OR_LINES,
    Disconnected,
    check_body,
    has_body,
    is_large,
    may_be_empty,
    read_unused_body,
    receive_nothing,
)
from exporter.api.browsers import Hosts, Origins, is_browser, refuse_cross_site
from exporter.api.callers import NodesByAddress
from exporter.api.connections import source_of
from exporter.api.events import EVENTS
from exporter.api.heads import refuse_repeated
from exporter.api.heartbeats import HEARTBEAT, HEARTBEATS, TakeHeartbeat, is_heartbeat
from exporter.api.problems import Problem, problem_of
from exporter.api.rates import NEW_NODE, RateLimits
from exporter.api.responses import ResponseSender
from exporter.api.service import Service
from exporter.api.tracing import request_id_of, trace_id_of
from exporter.api.trust import Caller, Trust
from exporter.auth.audit import ACTOR, Actor
from exporter.auth.keyring import Kind, Principal
from exporter.telemetry.logs import log_context

CALLER_LEFT = 499
"""The code of a request whose caller left before it was whole, as nginx counts it."""
UNMATCHED = "unmatched"
LARGE_BODIES = 64
"""So many are received and parsed at the same time; the others wait, and lie in the sender's memory meanwhile."""
OK, NOT_FOUND, METHOD_NOT_ALLOWED, TOO_LARGE, SERVER_ERROR = 200, 404, 405, 413, 500
_ROOM = nullcontext()
_READS = frozenset({"GET", "HEAD"})
_NOSNIFF = (b"x-content-type-options", b"nosniff")
_log = logging.getLogger(__name__)


class Middleware:
    """The application as the server calls it. Heartbeats go straight to their handler, all else by the router."""

    def __init__(self, service: Service, routes: list[Route], take_heartbeat: TakeHeartbeat) -> None:
        self._service = service
        self._router = Router(routes, redirect_slashes=False)
        self._take_heartbeat = take_heartbeat
        self._templates = {route.endpoint: route.path for route in routes}
        self._routes = routes
        self._paths = ", ".join(dict.fromkeys(route.path for route in routes))
        for route in routes:
            # `$` would overlook a line feed at the end, and what is decided by the path would take another one.
            route.path_regex = re.compile(route.path_regex.pattern.removesuffix("$") + r"\Z")
        self._trust = Trust()
        self._access = Access(service)
        self._origins = Origins()
        self._hosts = Hosts()
        self._bodies = asyncio.Semaphore(LARGE_BODIES)
        self._rates = RateLimits(service.clock, service.telemetry.refuse)
        self._nodes = NodesByAddress(service)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._router(scope, receive, send)
            return
        began = time.perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        config = self._service.config
        caller = self._trust.judge(config.auth, scope, headers)
        request_id = request_id_of(headers)
        method: str = scope["method"]
        straight = method == "POST" and is_heartbeat(scope["path"])
        common = self._common_headers(method, headers, request_id, straight=straight)
        answer = ResponseSender(send, common)
        try:
            if len(headers) != len(scope["headers"]):
                self._refuse_repeated(scope)
            principal = await self._admit(scope, headers, caller)
            if may_be_empty(headers) and method not in _READS:
                receive = await receive_nothing(receive, JSON_ONLY)
            if straight:
                # Logs nothing unless it fails, so that it need not pay for what log lines would bear.
                too_large = _too_large(headers, config.limits.max_body)
                if too_large is not None and b"expect" in headers:
                    common.append((b"connection", b"close"))
                async with self._room_for(headers):
                    node = await self._take_heartbeat.take(scope, receive, too_large)
                answer.status = await self._take_heartbeat.answer(node, send, common)
            else:
                self._note_caller(scope, caller, principal, request_id)
                if method not in _READS and method != "OPTIONS":
                    types = JSON_OR_LINES if scope["path"] == HEARTBEATS else JSON_ONLY
                    check_body(headers, config.limits.max_body, types)
                async with _ROOM if method in _READS else self._room_for(headers):
                    with self._log_context(headers, caller, request_id):
                        await self._route(scope, headers, receive, answer)
        except (Disconnected, asyncio.CancelledError):
            # Only the end of the program cancels a request, and only once its connection is cut.
            answer.status = answer.status or CALLER_LEFT
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets an answer and the log the cause
            with self._log_context(headers, caller, request_id):
                await self._fail(error, scope, headers, answer)
        handler = HEARTBEAT if straight else self._template(scope)
        if handler == EVENTS and answer.status == OK:
            # A stream's length is no duration of an answer.
            return
        seconds = time.perf_counter() - began
        self._service.telemetry.requests.observe(handler, method, answer.status, seconds)

    async def _admit(self, scope: Scope, headers: Mapping[bytes, bytes], caller: Caller) -> Principal | None:
        """Who sent it. Refuses what comes too often, and by credential, origin and Host, before the body is read."""
        service, method, path = self._service, scope["method"], scope["path"]
        principal = self._access.identify(headers)
        if caller.refusal and (principal is None or principal.kind is Kind.NODE):
            # Many nodes may share an address, so each has a rate of its own: a stolen token floods nobody.
            source = f"node {principal.name}" if principal else source_of(caller.address)
            self._rates.request(source, service.config.limits)
        if method == "OPTIONS":
            return principal
        try:
            if service.web.users and principal is None:
                principal = await self._access.log_in(path, headers, trusted=not caller.refusal)
            if method in _READS:
                self._access.check_read(path, principal, headers)
                return principal
            self._access.check_write(path, principal, caller, headers)
            browser = is_browser(headers)
            self._hosts.check(service.config.web, headers, browser=browser)
            if browser:
                refuse_cross_site(headers, secure=scope["scheme"] == "https")
        except Problem as problem:
            service.telemetry.refuse(problem.kind.replace("-", "_") or "malformed")
            raise
        return principal

    def _note_caller(self, scope: Scope, caller: Caller, principal: Principal | None, request_id: bytes) -> None:
        if caller.refusal:
            scope[NEW_NODE] = partial(self._rates.new_node, source_of(caller.address), self._service.config.limits)
        scope[ACTOR] = Actor(principal, caller.address, request_id.decode())

    def _refuse_repeated(self, scope: Scope) -> None:
        try:
            refuse_repeated(scope["headers"])
        except Problem as problem:
            self._service.telemetry.refuse(problem.kind)
            raise

    def _common_headers(
        self, method: str, headers: Mapping[bytes, bytes], request_id: bytes, *, straight: bool
    ) -> list[tuple[bytes, bytes]]:
        """Those of every answer."""
        config, web = self._service.config, self._service.web
        common = [(b"x-request-id", request_id)]
        if not straight:
            common.append(_NOSNIFF)
        if b"origin" in headers and (method in _READS or method == "OPTIONS"):
            common += self._origins.headers(config.web.cors_origin, headers[b"origin"])
        if web.headers:
            common += [header for header in web.headers if header not in common]
        return common

    async def _route(
        self, scope: Scope, headers: Mapping[bytes, bytes], receive: Receive, answer: ResponseSender
    ) -> None:
        if scope["method"] == "OPTIONS":
            await Response(status_code=204)(scope, receive, answer)
        else:
            if scope["method"] in _READS and has_body(headers):
                # Nothing uses it, but the request is not whole before: what surrounds a body has its limits too.
                await read_unused_body(receive)
            scope["app"] = self
            await self._router(scope, receive, answer)

    async def _fail(
        self, error: Exception, scope: Scope, headers: Mapping[bytes, bytes], answer: ResponseSender
    ) -> None:
        problem = problem_of(error)
        if problem.status == SERVER_ERROR and not isinstance(error, Problem):
            _log.error("%s %s failed", scope["method"], scope["path"], exc_info=error)
        if answer.status:
            # Too late for another answer: one that breaks off cannot be taken for a whole one.
            return
        if isinstance(error, HTTPException) and error.status_code == NOT_FOUND:
            problem = Problem(NOT_FOUND, f"nothing answers at this path; there are {self._paths}")
        if isinstance(error, HTTPException) and error.status_code == METHOD_NOT_ALLOWED:
            allowed = ", ".join(sorted(self._allowed(scope["path"])))
            problem = Problem(METHOD_NOT_ALLOWED, f"expected one of {allowed} at this path", headers={"Allow": allowed})
        await answer.problem(problem, close=b"expect" in headers)

    def _room_for(self, headers: Mapping[bytes, bytes]) -> AbstractAsyncContextManager[Any]:
        return self._bodies if is_large(headers) else _ROOM

    def _allowed(self, path: str) -> set[str]:
        """The methods of all routes that the path fits: it may be a word of ours, and a node's name as well."""
        fitting = (route for route in self._routes if route.path_regex.match(path))
        return {"OPTIONS"}.union(*(route.methods or () for route in fitting))

    def _template(self, scope: Scope) -> str:
        return self._templates[scope["endpoint"]] if "endpoint" in scope else UNMATCHED

    def _log_context(
        self, headers: Mapping[bytes, bytes], caller: Caller, request_id: bytes
    ) -> AbstractContextManager[None]:
        fields = {"request_id": request_id.decode()}
        if b"traceparent" in headers and (trace_id := trace_id_of(headers)):
            fields["trace_id"] = trace_id
        if node := self._nodes.name_at(caller.address):
            fields["node"] = node
        return log_context(**fields)


def _too_large(headers: Mapping[bytes, bytes], max_body: int) -> Problem | None:
    """A heartbeat's body that is too large is no refusal: the node lives whatever it sends. Raises the others."""
    try:
        check_body(headers, max_body, JSON_ONLY)
    except Problem as problem:
        if problem.status != TOO_LARGE:
            raise
        return problem
    return None
