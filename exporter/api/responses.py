"""Answers in JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

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


def seconds(ns: int) -> int | float:
    """Nanoseconds as seconds, whole where they are, to the millisecond where not: as people would write them."""
    return ns // SECOND if ns % SECOND == 0 else round(ns / SECOND, 3)


def whole(number: float) -> int | float:
    """The number, as an integer where it is one."""
    return int(number) if number == int(number) else number
