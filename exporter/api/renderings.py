"""Large answers: rendered once for all who ask at the same time, a few at a time, and never more than memory allows."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from exporter.api.problems import Problem
from exporter.api.sharing import SharedByKey
from exporter.exposition.yielder import Turns

SLICE = 2**16
"""Bytes written at once: so much of a body, and not all of it, lies in the buffer of a reader that is slow."""
MAX_WAITING = 64
REFUSED_AFTER = 0.5
"""Seconds before a refusal: callers that do not heed Retry-After cost little meanwhile."""
MAX_BYTES = 2**28
"""Of all bodies that somebody still reads."""
CROWD = 16
"""With more readers than that at a time, a rendering is followed by a pause,"""
REST = 3
"""so many times as long as it took, so that they never take more than a quarter of the time;"""
LONGEST_REST = 0.25
"""seconds at most. Meanwhile more readers come, and share the next one."""
RETRY_AFTER = {"Retry-After": "1"}
SLICES = 2
"""Slices of all answers that are written before the loop serves its sockets again: 128 KiB."""
_slices = Turns(SLICES)
REFUSALS = 4
"""Refusals that are answered between two such looks."""
_refusals = Turns(REFUSALS)


class Body:
    """A rendered answer, which any number of responses share."""

    __slots__ = ("__weakref__", "pieces", "size")

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces
        self.size = sum(map(len, pieces))


async def collect(pieces: AsyncIterator[bytes]) -> Body:
    """The whole of what an iterator renders."""
    return Body([piece async for piece in pieces])


class Renderings:
    """Renders at most `at_once` bodies at a time; up to MAX_WAITING more wait, and the rest is refused with 503.

    Requests with equal keys share one rendering while it is under way, so a key must change with what it shows.
    """

    def __init__(self, at_once: int, refused: Callable[[str], None]) -> None:
        """`refused` is called with the reason of each refusal."""
        self._slots = asyncio.Semaphore(at_once)
        self._refused = refused
        self._running: SharedByKey[Body] = SharedByKey()
        self._bytes = 0
        self._readers = 0
        self._rest = 0.0

    async def get(self, key: Hashable, render: Callable[[], Awaitable[Body]]) -> Body:
        """The body; raises Problem (503) when too many wait or too much is being read."""
        rendering = self._running.find(key)
        if rendering is None:
            if len(self._running) >= MAX_WAITING or self._bytes > MAX_BYTES:
                self._refused("busy")
                await asyncio.sleep(REFUSED_AFTER)
                await _refusals.wait()
                detail = "too many large answers are being read: try again soon, or ask for less (limit=, filters)"
                raise Problem(503, detail, kind="busy", headers=RETRY_AFTER)
            rendering = self._running.begin(key, self._render(render))
        self._readers += 1
        try:
            return await rendering.result()
        finally:
            self._readers -= 1

    async def _render(self, render: Callable[[], Awaitable[Body]]) -> Body:
        async with self._slots:
            if self._readers > CROWD:
                await asyncio.sleep(self._rest)
            began = time.perf_counter()
            body = await render()
            self._rest = min(REST * (time.perf_counter() - began), LONGEST_REST)
        self._bytes += body.size
        weakref.finalize(body, self._release, body.size)
        return body

    def _release(self, size: int) -> None:
        self._bytes -= size


class SharedResponse(Response):
    """Sends a shared body in slices, each when the one before has left."""

    def __init__(self, shared: Body, headers: Mapping[str, str] | None = None, media_type: str | None = None) -> None:
        super().__init__(None, 200, headers, media_type)
        self._shared = shared
        self.headers["content-length"] = str(shared.size)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As an ASGI application."""
        del receive
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if scope["method"] != "HEAD":
            for piece in self._shared.pieces:
                view = memoryview(piece)
                for start in range(0, len(view), SLICE):
                    await _slices.wait()
                    await send({"type": "http.response.body", "body": view[start : start + SLICE], "more_body": True})
        await send({"type": "http.response.body", "body": b""})
