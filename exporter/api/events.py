"""`GET /events`: all that happens, as server-sent events. Source: WHATWG HTML, 9.2."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from exporter.api.connections import RESERVED
from exporter.api.eventlog import EventLog, frame
from exporter.api.missed import Missed, NotKept
from exporter.api.queries import FILTERS, Test, parse_query
from exporter.api.rates import NEW_NODE
from exporter.api.readers import Reader
from exporter.api.responses import Handler, encode, head_response
from exporter.api.service import Service
from exporter.api.stream import BATCH, EventStream
from exporter.domain.errors import AuroraError

EVENTS = "/events"
ABORT = "aurora.abort"
"""The extension of the ASGI scope that cuts the connection."""
MEDIA_TYPE = "text/event-stream"
HEADERS = {
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",  # nginx would collect events until a buffer is full
    "Connection": "close",
}
SEND_SECONDS = 10.0
"""A reader that has not read anything for this time is dropped."""
CLOSE_SECONDS = 0.5
RETRY_MILLISECONDS = 2000
RESET, END = "stream_reset", "stream_end"
TOO_SLOW = "events came faster than you read them: connect again, and read faster or filter"
LOST = "events were lost in a flood: load /nodes again"
STOPPING = "the registry is stopping: connect again"


def follow(service: Service) -> Handler:
    """The stream of events, without end, of the nodes that the query chooses."""
    missed = Missed(service)

    async def handle(request: Request) -> Response:
        query = parse_query(request.scope["query_string"], FILTERS)
        tests = tuple(query.values())
        if request.method == "HEAD":
            return head_response(HEADERS, MEDIA_TYPE)
        stream = service.events
        limit = service.config.limits.max_event_streams
        if NEW_NODE in request.scope:
            # From an address that is not trusted: some are kept for those that are.
            limit -= max(1, limit // RESERVED)
        reader = await stream.open(limit)
        try:
            opening = await _opening(stream.log, reader, request, missed, tests)
        except AuroraError:
            stream.close(reader)
            raise
        return _Stream(stream, reader, tests, opening)

    return handle


async def _opening(
    log: EventLog, reader: Reader, request: Request, missed: Missed, tests: tuple[Test, ...]
) -> list[bytes]:
    """What the stream begins with: what was missed, or that this is not known."""
    last_id = request.headers.get("last-event-id", "")
    begin = b"retry: %d\n" % RETRY_MILLISECONDS
    ident = b"id: %b\n\n" % log.event_id(reader.position)
    if not last_id:
        return [begin + ident]
    known = log.position_of(last_id)
    if known is not None and known[1] is not None:
        reader.position = known[1]
        return [begin + b"\n"]
    try:
        found = await missed.since(known[0] if known else 0, request.scope["query_string"], tests)
    except NotKept as reason:
        return [begin + ident + _word(RESET, f"what you missed is not known ({reason}): load /nodes again")]
    # The search may have begun before this reader came: what happened since then comes from the log.
    reader.position = found.position
    return [begin + b"\n", *found.pieces, b"id: %b\n\n" % log.event_id(found.position)]


@dataclass(slots=True)
class _Stream(Response):
    """Sends to one reader for as long as it keeps up."""

    stream: EventStream
    reader: Reader
    tests: tuple[Test, ...]
    opening: list[bytes]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs until the caller leaves, is dropped, or the registry stops."""
        self.reader.cut = scope.get("extensions", {}).get(ABORT, {}).get(ABORT, self.reader.cut)
        watching = asyncio.create_task(self._watch(receive))
        headers = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
        headers.append((b"content-type", MEDIA_TYPE.encode() + b"; charset=utf-8"))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            for piece in self.opening:
                self.stream.ring(self.reader)
                await self.reader.woken()
                await self._send(send, piece)
            ending = await self._follow(send)
            if not self.reader.gone:
                async with asyncio.timeout(CLOSE_SECONDS):
                    await send({"type": "http.response.body", "body": _word(END, ending)})
        except TimeoutError:
            self.stream.dropped += not self.stream.stopping
            self.reader.cut()
            await asyncio.wait([watching], timeout=CLOSE_SECONDS)
        finally:
            self.stream.close(self.reader)
            watching.cancel()

    async def _follow(self, send: Send) -> str:
        """Send what comes; why it ended."""
        log, reader = self.stream.log, self.reader
        while not reader.gone:
            if self.stream.stopping:
                return STOPPING
            if reader.position <= log.lost:
                reader.position = log.first
                await self._send(send, _word(RESET, LOST))
            if reader.position < log.first:
                self.stream.dropped += 1
                return TOO_SLOW
            events = log.read(reader.position, BATCH)
            if events:
                reader.position += len(events)
                frames = [event.frame for event in events if event.wanted(self.tests)]
                if not events[-1].wanted(self.tests):
                    # An id alone, so that readers with filters advance too.
                    frames.append(b"id: %b\n\n" % log.event_id(reader.position))
                await self._send(send, b"".join(frames))
            elif reader.due_at <= asyncio.get_running_loop().time():
                await self._send(send, b": keep-alive\nid: %b\n\n" % log.event_id(reader.position))
            if reader.position < log.end:
                # Others have their turn first.
                self.stream.ring(reader)
            await reader.woken()
        return ""

    async def _send(self, send: Send, body: bytes) -> None:
        async with asyncio.timeout(SEND_SECONDS):
            await send({"type": "http.response.body", "body": body, "more_body": True})
        self.reader.sent(asyncio.get_running_loop().time())

    async def _watch(self, receive: Receive) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            while (await receive())["type"] != "http.disconnect":
                pass
            self.reader.gone = True
            self.stream.ring(self.reader)


def _word(event_type: str, reason: str) -> bytes:
    return frame(event_type, encode({"reason": reason}))
