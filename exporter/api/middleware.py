"""What all requests share, in one layer: ids, trust, bodies, origins, errors, durations."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from exporter.api.access import Access
from exporter.api.bodies import (
    JSON_ONLY,
    JSON_OR_LINES,
    Disconnected,
    LargeBodies,
    check_body,
    has_body,
    is_large,
    may_be_empty,
    read_unused_body,
    receive_nothing,
)
from exporter.api.browsers import Headers, Hosts, Origins, is_browser, refuse_cross_site
from exporter.api.callers import NodesByAddress
from exporter.api.connections import source_of
from exporter.api.events import EVENTS
from exporter.api.heads import refuse_repeated
from exporter.api.heartbeats import HEARTBEAT, HEARTBEATS, TakeHeartbeat, node_in
from exporter.api.problems import Problem, problem_of
from exporter.api.rates import NEW_NODE, RateLimits
from exporter.api.responses import ResponseSender
from exporter.api.service import Service
from exporter.api.tracing import request_id_of, trace_id_of
from exporter.api.trust import Caller, Trust
from exporter.auth.audit import ACTOR, Actor
from exporter.auth.keyring import CredentialKind, Principal
from exporter.domain.config import Config
from exporter.telemetry.logs import log_context

CALLER_LEFT = 499
"""The code of a request whose caller left before it was whole, as nginx counts it."""
UNMATCHED = "unmatched"
OK, NOT_FOUND, METHOD_NOT_ALLOWED, SERVER_ERROR = 200, 404, 405, 500
_READS = frozenset({"GET", "HEAD"})
_NOSNIFF = (b"x-content-type-options", b"nosniff")
_log = logging.getLogger(__name__)


class Middleware:
    """The application as the server calls it. Heartbeats go straight to their handler, all else by the router."""

    def __init__(
        self, service: Service, routes: list[Route], take_heartbeat: TakeHeartbeat, bodies: LargeBodies
    ) -> None:
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
        self._bodies = bodies
        self._rates = RateLimits(service.clock, service.telemetry.refuse)
        self._nodes = NodesByAddress(service)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._router(scope, receive, send)
            return
        began = time.perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        # Each is asked for once: what a heartbeat costs is the number of its calls.
        config, web = self._service.config, self._service.web
        caller = self._trust.judge(config.auth, scope, headers)
        request_id = request_id_of(headers)
        method: str = scope["method"]
        node = node_in(scope["path"]) if method == "POST" else ""  # Whose heartbeat it is, if it is one.
        common = [(b"x-request-id", request_id), *web.headers]
        if not node:
            common += self._more_headers(config, method, headers, common)
        answer = ResponseSender(send, common)
        try:
            if len(headers) != len(scope["headers"]):
                self._refuse_repeated(scope)
            principal = self._identify(config, headers, caller)
            if web.users and principal is None and method != "OPTIONS":
                principal = await self._log_in(scope["path"], headers, caller)
            self._check(config, scope, headers, caller, principal)
            if may_be_empty(headers) and method not in _READS:
                receive = await receive_nothing(receive, JSON_ONLY)
            if node:
                # Logs nothing unless it fails, so that it need not pay for what log lines would bear.
                await self._take_heartbeat.take(node, headers, receive, answer)
            else:
                self._note_caller(scope, caller, principal, request_id)
                with self._log_context(headers, caller, request_id):
                    await self._route(config, scope, headers, receive, answer)
        except (Disconnected, asyncio.CancelledError):
            # Only the end of the program cancels a request, and only once its connection is cut.
            answer.status = answer.status or CALLER_LEFT
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets an answer and the log the cause
            with self._log_context(headers, caller, request_id):
                await self._fail(error, scope, headers, answer)
        handler = HEARTBEAT if node else self._template(scope)
        if handler == EVENTS and answer.status == OK:
            # A stream's length is no duration of an answer.
            return
        seconds = time.perf_counter() - began
        self._service.telemetry.requests.observe(handler, method, answer.status, seconds)

    def _identify(self, config: Config, headers: Mapping[bytes, bytes], caller: Caller) -> Principal | None:
        """Who sent it, by a token. Refuses what comes too often."""
        principal = self._access.identify(headers)
        if caller.refusal and (principal is None or principal.kind is CredentialKind.NODE):
            # Many nodes may share an address, so each has a rate of its own: a stolen token floods nobody.
            source = f"node {principal.name}" if principal else source_of(caller.address)
            self._rates.request(source, config.limits)
        return principal

    async def _log_in(self, path: str, headers: Mapping[bytes, bytes], caller: Caller) -> Principal | None:
        """Who sent it, by a password."""
        try:
            return await self._access.log_in(path, headers, caller)
        except Problem as problem:
            self._count(problem)
            raise

    def _check(
        self, config: Config, scope: Scope, headers: Mapping[bytes, bytes], caller: Caller, principal: Principal | None
    ) -> None:
        """Refuse by credential, origin and Host, before the body is read."""
        method, path = scope["method"], scope["path"]
        if method == "OPTIONS":
            return
        try:
            if method in _READS:
                self._access.check_read(path, principal, headers)
                return
            self._access.check_write(path, principal, caller, headers)
            browser = is_browser(headers)
            self._hosts.check(config.web, headers, browser=browser)
            if browser:
                refuse_cross_site(headers, secure=scope["scheme"] == "https")
        except Problem as problem:
            self._count(problem)
            raise

    def _count(self, refusal: Problem) -> None:
        self._service.telemetry.refuse(refusal.kind.replace("-", "_") or "malformed")

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

    def _more_headers(self, config: Config, method: str, headers: Mapping[bytes, bytes], common: Headers) -> Headers:
        """Those of every answer but a heartbeat's, beside the common ones."""
        more = [] if _NOSNIFF in common else [_NOSNIFF]
        if b"origin" in headers and (method in _READS or method == "OPTIONS"):
            more += self._origins.headers(config.web.cors_origin, headers[b"origin"])
        return more

    async def _route(
        self, config: Config, scope: Scope, headers: Mapping[bytes, bytes], receive: Receive, answer: ResponseSender
    ) -> None:
        method = scope["method"]
        scope["app"] = self
        if method == "OPTIONS":
            await Response(status_code=204, headers={"Allow": self._allowed(scope["path"])})(scope, receive, answer)
        elif method in _READS:
            if has_body(headers):
                # Nothing uses it, but the request is not whole before: what surrounds a body has its limits too.
                await read_unused_body(receive)
            await self._router(scope, receive, answer)
        else:
            heartbeats = scope["path"] == HEARTBEATS
            check_body(headers, config.limits.max_body, JSON_OR_LINES if heartbeats else JSON_ONLY)
            large = is_large(headers)
            with self._bodies.taken(receive, heartbeats=heartbeats) if large else nullcontext(receive) as taken:
                await self._router(scope, taken, answer)

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
            allowed = self._allowed(scope["path"])
            problem = Problem(METHOD_NOT_ALLOWED, f"expected one of {allowed} at this path", headers={"Allow": allowed})
        await answer.problem(problem, close=b"expect" in headers)

    def _allowed(self, path: str) -> str:
        """The methods of all routes that the path fits: it may be a word of ours, and a node's name as well."""
        fitting = (route for route in self._routes if route.path_regex.match(path))
        return ", ".join(sorted({"OPTIONS"}.union(*(route.methods or () for route in fitting))))

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
