"""Bodies of requests: how large, of what type, and whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from starlette.requests import Request
from starlette.types import Message, Receive

from exporter.api.bytebudget import ByteBudget, no_room
from exporter.api.problems import Problem
from exporter.api.responses import JSON
from exporter.domain import strictjson
from exporter.exposition.yielder import Turns

NDJSON = "application/x-ndjson"
JSON_ONLY = (JSON,)
JSON_OR_LINES = (JSON, NDJSON)
MAX_DIGITS = 18
SMALL = 16_384
"""Bytes that are parsed in less than a millisecond, whatever they are."""
MAX_BYTES = 2**25
"""Of all large bodies that are received or used at the same time."""
PLAIN = frozenset({b"", b"identity"})
"""Values of Content-Encoding that change nothing."""
_PLAIN_JSON = JSON.encode()


class Disconnected(Exception):
    """The caller went away before its request was whole: there is nobody to answer."""


def has_body(headers: Mapping[bytes, bytes]) -> bool:
    """Whether the request has a body at all. Source: RFC 9112 6.3: without either field it has none."""
    return headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers


def is_large(headers: Mapping[bytes, bytes]) -> bool:
    """Whether the body may be too large to be parsed at once, by what the request announces."""
    length = headers.get(b"content-length", b"0")
    return b"transfer-encoding" in headers or len(length) > MAX_DIGITS or int(length) > SMALL


def check_body(headers: Mapping[bytes, bytes], limit: int, media_types: tuple[str, ...]) -> None:
    """Refuse by its headers what cannot be taken: before it is received."""
    encoding = headers.get(b"content-encoding")
    if encoding and not all(coding.strip().lower() in PLAIN for coding in encoding.split(b",")):
        raise Problem(
            415, "expected a body without Content-Encoding: send it as it is", headers={"Accept-Encoding": "identity"}
        )
    length = headers.get(b"content-length", b"0")
    if length == b"0" and b"transfer-encoding" not in headers:
        return
    if len(length) > MAX_DIGITS or int(length) > limit:
        raise too_large(limit)
    raw = headers.get(b"content-type", b"")
    if raw == _PLAIN_JSON and JSON in media_types:
        return
    content_type = raw.decode("latin-1")
    if media_type(content_type) not in media_types and not may_be_empty(headers):
        raise _wrong_type(content_type, media_types)


def may_be_empty(headers: Mapping[bytes, bytes]) -> bool:
    """Whether only its end shows whether the request has a body, and it states no type: an empty one needs none."""
    return b"content-type" not in headers and b"transfer-encoding" in headers


async def receive_nothing(receive: Receive, media_types: tuple[str, ...]) -> Receive:
    """Receive a body that must be empty; a `receive` that gives it again. Raises Problem (415) at its first byte, and
    Disconnected.
    """  # noqa: D205 - one sentence
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        if message.get("body"):
            raise _wrong_type("", media_types)
        more = message.get("more_body", False)
    return _no_body


async def _no_body() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


def media_type(content_type: str | None) -> str:
    """The type alone, without parameters."""
    return (content_type or "").partition(";")[0].strip().lower()


def too_large(limit: int) -> Problem:
    """What a body above the limit is answered with."""
    return Problem(413, f"expected a body of at most {limit} bytes (limits.max_body): send less at once")


def _wrong_type(content_type: str, media_types: tuple[str, ...]) -> Problem:
    detail = f"expected a body of Content-Type {' or '.join(media_types)}, got {content_type[:80]!r}"
    return Problem(415, detail, headers={"Accept": ", ".join(media_types)})


class LargeBodies:
    """All large bodies: what comes of them is taken in turns, and all together have no more than so much memory.

    None waits for another one's rest. Those with heartbeats wait for each other alone.
    """

    def __init__(self) -> None:
        self._budget = ByteBudget(MAX_BYTES)
        self._turns, self._heartbeats = Turns(1), Turns(1)

    @contextmanager
    def taken(self, receive: Receive, *, heartbeats: bool) -> Iterator[Receive]:
        """A `receive` for a large body, whose bytes count until it is left, when nobody uses them any more.

        It raises Problem (503) where there is no room for them.
        """
        turns, kept = self._heartbeats if heartbeats else self._turns, 0

        async def receive_in_turn() -> Message:
            nonlocal kept
            message = await receive()
            more = len(message.get("body", b""))
            if not self._budget.admits(kept, more):
                raise no_room()
            self._budget.change(kept, kept + more)
            kept += more
            await turns.wait()
            return message

        try:
            yield receive_in_turn
        finally:
            self._budget.change(kept, 0)


async def read_unused_body(receive: Receive) -> None:
    """Receive the body of a request that needs none; raises Problem (413) where it is a large one, and Disconnected."""
    try:
        await read_body(receive, SMALL)
    except Problem:
        raise Problem(413, f"expected no body, or one of at most {SMALL} bytes: nothing of it is used") from None


async def read_body(receive: Receive, limit: int) -> bytes:
    """The whole body, empty where there is none. Raises Problem (413) above the limit, and Disconnected."""
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise too_large(limit)
        parts.append(part)
        if not message.get("more_body", False):
            break
    return b"".join(parts)


async def read_json(request: Request, limit: int) -> Any:
    """The JSON value of the body; None where there is no body. Raises Invalid as strictjson does."""
    body = await read_body(request.receive, limit)
    return strictjson.loads(body) if body else None
