"""Answers in JSON, and how all answers leave."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from exporter.api.problems import MEDIA_TYPE, Problem
from exporter.domain.clock import SECOND

JSON = "application/json"
Handler = Callable[[Request], Awaitable[Response]]

encode = msgspec.json.Encoder().encode


def json_response(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer whose body is JSON already."""
    return Response(body, status, headers, JSON)


def document_response(document: Any, status: int = 200) -> Response:
    """An answer whose body is to be written as JSON."""
    return json_response(encode(document), status)


def head_response(headers: Mapping[str, str] | None = None, media_type: str | None = None) -> Response:
    """The answer to HEAD where only rendering would show the length: without one. Source: RFC 9110 8.6."""
    response = Response(None, 200, headers, media_type)
    del response.headers["content-length"]
    return response


def seconds(ns: int) -> int | float:
    """Nanoseconds as seconds, whole where they are, to the millisecond where not: as people would write them."""
    return ns // SECOND if ns % SECOND == 0 else round(ns / SECOND, 3)


def whole(number: float) -> int | float:
    """The number, as an integer where it is one."""
    return int(number) if number == int(number) else number


class HandlerApp:
    """A handler as an ASGI application, called without what Starlette wraps around functions.

    With hundreds of requests under way, the frames of that are most of what the garbage collector has to look at.
    """

    __slots__ = ("_handle",)

    def __init__(self, handle: Handler) -> None:
        self._handle = handle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        response = await self._handle(Request(scope, receive, send))
        await response(scope, receive, send)


class ResponseSender:
    """Sends an answer with the headers that every answer has, and keeps its status."""

    __slots__ = ("headers", "send", "status")

    def __init__(self, send: Send, headers: list[tuple[bytes, bytes]]) -> None:
        self.send = send
        self.headers = headers
        self.status = 0

    async def __call__(self, message: Message) -> None:
        """As the server's own `send`."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message.get("headers", ()), *self.headers]}
        await self.send(message)

    async def problem(self, problem: Problem, *, close: bool) -> None:
        """Answer with a problem document; `close`: the rest of the request is not wanted."""
        body = problem.body()
        headers = [
            (b"content-type", MEDIA_TYPE),
            (b"content-length", b"%d" % len(body)),
            *((name.lower().encode(), value.encode()) for name, value in problem.headers.items()),
        ]
        if close:
            headers.append((b"connection", b"close"))
        await self({"type": "http.response.start", "status": problem.status, "headers": headers})
        await self({"type": "http.response.body", "body": body})
