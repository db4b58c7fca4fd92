"""uvicorn's HTTP protocol with what it lacks: what arrives is parsed in turns, and what frames a body has bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from exporter.api.bytebudget import no_room
from exporter.api.cycles import new_cycle
from exporter.api.events import ABORT, EVENTS
from exporter.api.heads import (
    MAX_ESCAPES,
    fault_of_coding,
    fault_of_escapes,
    last_answer,
    not_one_host,
    size_of,
    take_host_of_target,
    without_upgrade,
)
from exporter.api.heartbeats import HEARTBEATS
from exporter.api.problems import Problem
from exporter.api.rounds import SLICE, Inflow, Rounds, Work, is_heartbeat
from exporter.api.tracing import request_id_of

MAX_HEAD = 65_536
"""Bytes of a request's line and headers; and of whatever is neither a head nor a body, such as trailers."""
MAX_HEADERS = 256
FEW_CHUNKS, SMALL_CHUNK = 1_000, 8
"""A body in more chunks has at least so many bytes a chunk on average: each is a call, whatever its size."""
REFUSED_AFTER = 1.0
"""Seconds: a client that resends such a body at once costs little meanwhile."""
HEARTBEAT_PATH = "/heartbeat"
"""What a heartbeat's path ends with; the request waits for no turn."""
READS = {"GET", "HEAD", "OPTIONS"}
FRAMING = frozenset({b"host", b"expect", b"content-length", b"transfer-encoding"})
"""Headers that are looked at here."""
RETRY = {"Retry-After": "2"}
NOT_HTTP = "this is no HTTP/1.1 request"
VERSIONS = frozenset({"1.0", "1.1"})
"""The parser knows others too, in which a request needs neither a Host nor an end."""
SURELY = MAX_HEAD - 2 * SLICE
"""A head of at most so many bytes in the reads before the latest cannot be too large."""


def ignore(_: str) -> None:
    """Nobody counts refusals."""


class _RequestRefused(Exception):
    """The request was refused while it was parsed."""


class FramedProtocol(HttpToolsProtocol):
    """A request with an endless head or endless trailers is answered 431, and what is no HTTP/1.1 or could be read in
    two ways 400. Then the connection ends.

    An upgrade that is asked for is ignored: the request is answered as it is. Source: RFC 9110 7.8.
    """  # noqa: D205 - one sentence

    # uvicorn's attributes and ours would be more than an object keeps in order, and each look at one costs then.
    __slots__ = (
        "_answering",
        "_body_bytes",
        "_chunks",
        "_fault",
        "_hosts",
        "_in_head",
        "_inflow",
        "_length",
        "_overhead",
        "_progressed",
        "_refused",
        "_rounds",
        "_trailers",
        "_upgrading",
        "idle_since",
        "no_place",
        "since",
        "trusted",
    )
    refused: Callable[[str], None] = staticmethod(ignore)

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.trusted = False
        self.since: float | None = self.loop.time()
        """Since when a request is arriving; None between requests."""
        self.idle_since: float | None = None
        """Since when the next request is waited for."""
        self.no_place: Problem | None = None
        """Why the connection is not served: the answer to its first request."""
        self._answering: RequestResponseCycle | None = None
        self._in_head = True
        self._progressed = False
        self._overhead = 0
        self._hosts = self._trailers = self._chunks = self._body_bytes = 0
        self._length: int | None = None
        """Of the body, where the head says so."""
        self._upgrading = False
        """Whether the request asks for an upgrade."""
        self._fault: Problem | None = None
        """What is wrong with the head, once it is whole."""
        self._refused = False
        self._rounds: Rounds
        self._inflow: Inflow

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._rounds = Rounds.of(self.server_state, self.loop)
        self.flow = self._inflow = Inflow(transport, self._rounds, self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody wants an answer any more."""
        self._inflow.drop()
        self._leave()
        super().connection_lost(exc)
        # They refer to us, as we to them: else only the garbage collector could end it.
        self.cycle = self._answering = None  # type: ignore[assignment]  # as it is before the first request
        self.pipeline.clear()

    def data_received(self, data: bytes) -> None:
        """Parse what came, or keep it until it is this connection's turn. A heartbeat never waits."""
        if is_heartbeat(data) and not self._inflow.unparsed:
            self.parse(data)
        elif not self._refused:
            if self.since is None:
                # It may wait before anything of it is parsed.
                self.since, self.idle_since = self.loop.time(), None
            self._inflow.receive(data)

    def parse(self, data: bytes) -> None:
        """Parse it, a slice at most, as long as the head, or what surrounds the body, ends somewhere."""
        if self._refused:
            return
        self._progressed = False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._go_on_without_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._malformed()
        if self._progressed:
            self._overhead = 0
        else:
            self._overhead += len(data)
            if self._overhead > MAX_HEAD:
                self._too_large_a_head()

    def on_message_begin(self) -> None:
        """The first byte of a request; it may follow another one's last byte at once."""
        self.url, self.headers, self.expect_100_continue = b"", [], False
        self.scope = None  # type: ignore[assignment]  # as before the first request
        if self.since is None:
            self.since, self.idle_since = self.loop.time(), None
        self._inflow.begin()
        self._in_head, self._length = True, None
        self._hosts = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, as the base takes it; what comes behind a body (trailers) is dropped."""
        if not self._in_head:
            self._trailers += 1
            if self._trailers > MAX_HEADERS:
                # What a callback raises ends the parsing of this read.
                self._too_large_a_head()
                raise _RequestRefused
            return
        name = name.lower()
        self.headers.append((name, value))
        if name not in FRAMING:
            return
        if name == b"host":
            self._hosts += 1
        elif name == b"expect":
            self.expect_100_continue = value.lower() == b"100-continue"
        elif name == b"content-length":
            # The parser has read it, and refuses what is no number and what does not fit into 64 bits.
            self._length = int(value)
        elif name == b"transfer-encoding":
            self._fault = self._fault or fault_of_coding(value)

    def on_headers_complete(self) -> None:
        """What follows is the body."""
        self._in_head, self._progressed = False, True
        self._trailers = self._chunks = self._body_bytes = 0
        self._upgrading = self.parser.should_upgrade()
        if self.url[:1] != b"/":
            self.url = take_host_of_target(self.url, self.headers)
        if len(self.headers) > MAX_HEADERS or (self._overhead > SURELY and size_of(self.url, self.headers) > MAX_HEAD):
            self._too_large_a_head()
        elif self.no_place is not None:
            self.refuse(self.no_place)
        elif (version := self.parser.get_http_version()) not in VERSIONS:
            self._malformed()
        elif self._hosts != 1 and (self._hosts or version == "1.1"):
            self.refused("malformed")
            self.refuse(not_one_host(self._hosts))
        elif len(self.url) > MAX_ESCAPES and (fault := fault_of_escapes(self.url)):
            self.refused("malformed")
            self.refuse(fault)
        elif self._fault is not None:
            self.refused("malformed")
            self.refuse(self._fault)
        elif not self._upgrading:
            self.begin_request(version)

    def begin_request(self, version: str) -> None:
        """The head is whole, and sound."""
        if not self.trusted:
            self.busy()
        before, self.cycle = self.cycle, new_cycle(self, version)
        scope = self.scope = self.cycle.scope
        if scope["path"] == EVENTS:
            # A stream whose reader takes nothing is cut at the end: a closing connection would wait for it.
            scope["extensions"] = {ABORT: {ABORT: self.transport.abort}}
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def on_chunk_header(self) -> None:
        """Another chunk of the body begins."""
        self._chunks += 1
        if self._chunks > FEW_CHUNKS and self._body_bytes < SMALL_CHUNK * self._chunks and not self._refused:
            self.refused("malformed")
            self._refused = True
            self._leave()
            self.flow.pause_reading()
            self._inflow.drop()
            detail = f"expected chunks of at least {SMALL_CHUNK} bytes on average: send larger ones"
            self.loop.call_later(REFUSED_AFTER, self._refuse_late, Problem(400, detail))
            raise _RequestRefused

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._progressed = True
        self._body_bytes += len(body)
        # As the base, whose look whether the request asks for an upgrade is not needed, and costs.
        cycle = self.cycle
        if not (self._refused or cycle.response_complete):
            cycle.body += body
            if len(cycle.body) > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
            cycle.message_event.set()

    def on_message_complete(self) -> None:
        """The request is whole: its time ends, and where it is answered already, that of the next begins."""
        self._progressed = True
        if self._refused or self._upgrading:
            return
        self.since = None
        cycle = self.cycle
        cycle.more_body = False
        if cycle.response_complete:
            self.wait()
        else:
            cycle.message_event.set()

    def busy(self) -> None:
        """A request of a peer that is not trusted is to be answered."""

    def idle(self) -> None:
        """Such a peer's next request is waited for."""

    def wait(self) -> None:
        """For the next request."""
        self.idle_since = self.loop.time()
        if not self.trusted:
            self.idle()

    def body_left(self) -> int:
        """Bytes of the latest request's body that are awaited; where it is chunked, more may be."""
        if self.cycle is None or not self.cycle.more_body:
            return 0
        return SLICE if self._length is None else self._length - self._body_bytes

    def no_room(self) -> None:
        """Too much of all connections waits to be parsed."""
        self.refused("busy")
        self.refuse(no_room())
        self._inflow.drop()

    def refuse(self, problem: Problem) -> None:
        """Answer, unless an answer is on its way, and end the connection."""
        cycle = self.cycle
        ours = cycle is not None and cycle.scope is self.scope
        if cycle is None or (not cycle.response_started if ours else cycle.response_complete):
            request_id = request_id_of(dict(self.headers) if ours else {})
            self.transport.write(STATUS_LINE[problem.status] + last_answer(problem, request_id))
        self._leave()
        self._refused = True
        self.transport.close()

    def _refuse_late(self, problem: Problem) -> None:
        if not self.transport.is_closing():
            self.refuse(problem)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        # `cycle` of the base is the last request that came; others may wait before it.
        self._answering = cycle
        path = cycle.scope["path"]
        if path.endswith(HEARTBEAT_PATH):
            self._start(cycle, app)
        elif path == HEARTBEATS:
            self._inflow.counts = False
            self._rounds.begin(partial(self._start, cycle, app), Work.HEARTBEATS)
        else:
            work = Work.READ if cycle.scope["method"] in READS else Work.WRITE
            self._rounds.begin(partial(self._start, cycle, app), work)

    def _start(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if not cycle.disconnected:
            task = self.loop.create_task(cycle.run_asgi(app))
            task.add_done_callback(self.tasks.discard)
            self.tasks.add(task)

    def _leave(self) -> None:
        """Whatever answers a request now answers nobody."""
        for cycle in (self._answering, self.cycle):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()

    def _malformed(self) -> None:
        if not self._refused:
            self.refused("malformed")
            self.refuse(Problem(400, NOT_HTTP))

    def _too_large_a_head(self) -> None:
        if not self._refused:
            self.refused("head_too_large")
            detail = f"expected a request line and at most {MAX_HEADERS} headers of at most {MAX_HEAD} bytes together"
            self.refuse(Problem(431, detail))

    def _go_on_without_upgrade(self, data: bytes) -> None:
        """The head asked for an upgrade: parse it again without what asks for it, and then what follows it."""
        method = self.parser.get_method()
        if method == b"CONNECT" or self._refused:
            self._malformed()
            return
        head = without_upgrade(method, self.url, self.parser.get_http_version(), self.headers)
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.parse(head)
        if data:
            self.parse(data)
