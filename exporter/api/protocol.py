"""uvicorn's HTTP protocol with what it lacks: bounds on a request's head, on waiting for it, and on slow readers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from exporter.api.connections import ConnectionLimits, source_of
from exporter.api.events import ABORT, EVENTS
from exporter.api.heads import fault_of_coding, last_answer, not_one_host, size_of, take_host_of_target, without_upgrade
from exporter.api.problems import NOT_ACKNOWLEDGED, Problem
from exporter.api.rounds import SLICE, Inflow, Rounds, is_heartbeat
from exporter.api.stream import STOPPING
from exporter.api.sweep import Sweep
from exporter.api.tracing import request_id_of
from exporter.domain.config import Limits

MAX_HEAD = 65_536
"""Bytes of a request's line and headers; and of whatever is neither a head nor a body, such as trailers."""
MAX_HEADERS = 256
PROGRESS = 65_536
"""Bytes that a reader must take in each `limits.send_timeout`."""
TOLD_WHY = 64
"""So many connections above the limit are answered why they are refused; the others are closed at once."""
FEW_CHUNKS, SMALL_CHUNK = 1_000, 8
"""A body in more chunks has at least so many bytes a chunk on average: each is a call, whatever its size."""
REFUSED_AFTER = 1.0
"""Seconds: who sends such a body once more at once costs little meanwhile."""
HEARTBEAT_PATH = "/heartbeat"
"""What a heartbeat's path ends with; the request waits for no turn."""
READS = {"GET", "HEAD", "OPTIONS"}
RETRY = {"Retry-After": "2"}
NOT_HTTP = "this is no HTTP/1.1 request"
SURELY = MAX_HEAD - 2 * SLICE
"""A head of at most so many bytes in the reads before the latest cannot be too large."""


def _trust_all(_: str) -> bool:
    return True


def _ignore(_: str) -> None:
    return None


class _Refused(Exception):
    """The request was refused while it was parsed."""


class DeadlineProtocol(HttpToolsProtocol):
    """A request that is not whole in time is answered 408, one with an endless head or trailers 431; a reader that does
    not read is cut off. Then the connection ends.

    The time runs from the connection's beginning, or from a later request's first byte. One timer checks all
    connections of a server, so that a request costs none. An upgrade that is asked for is ignored: the request is
    answered as it is. Source: RFC 9110 7.8.
    """  # noqa: D205 - one sentence

    limits: Callable[[], Limits] = staticmethod(Limits)
    is_trusted: Callable[[str], bool] = staticmethod(_trust_all)
    refused: Callable[[str], None] = staticmethod(_ignore)
    _sweeps: ClassVar[WeakKeyDictionary[ServerState, Sweep]] = WeakKeyDictionary()

    @classmethod
    def within(
        cls,
        limits: Callable[[], Limits],
        is_trusted: Callable[[str], bool] = _trust_all,
        refused: Callable[[str], None] = _ignore,
    ) -> type[DeadlineProtocol]:
        """The protocol with other limits, which are read again at each use, so that a reload may change them.

        `is_trusted`: whether a peer's address is trusted. `refused` is called with the reason of each refusal here.
        """
        names: dict[str, Callable[..., Any]] = {"limits": limits, "is_trusted": is_trusted, "refused": refused}
        return type(cls.__name__, (cls,), {name: staticmethod(each) for name, each in names.items()})

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.source = ""
        self.trusted = False
        self._answering: RequestResponseCycle | None = None
        self.since: float | None = self.loop.time()
        """Since when a request is arriving; None between requests."""
        self.idle_since: float | None = None
        """Since when the next request is waited for."""
        self.blocked_since: float | None = None
        """Since when the peer has not read PROGRESS bytes of what it was sent."""
        self._unread = 0
        self._in_head = True
        self._progressed = False
        self._overhead = 0
        self._hosts = self._trailers = self._chunks = self._body_bytes = 0
        self._upgrading = False
        """Whether the request asks for an upgrade."""
        self._fault: Problem | None = None
        """What is wrong with the head, once it is whole."""
        self._refused = False
        self._turned_away = ""
        """Why there is no room for this connection: the answer to its first request."""
        self._shared = ConnectionLimits.of(server_state)
        self._rounds: Rounds
        self._inflow: Inflow

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin to wait for a request, if there is room for another connection."""
        super().connection_made(transport)
        self._rounds = Rounds.of(self.server_state, self.loop)
        self.flow = self._inflow = Inflow(transport, self._rounds, self)
        host = self.client[0] if self.client else ""
        self.source, self.trusted = source_of(host), self.is_trusted(host)
        sweep = self._sweeps.get(self.server_state)
        if sweep is None:
            sweep = self._sweeps[self.server_state] = Sweep(self.loop, self.connections, self.timeout_keep_alive)
        sweep.begin(self.limits)
        self._turned_away = self._shared.admit(self, self.limits(), self.refused)
        if self._turned_away:
            self.refused("connections")
            if len(self.connections) > self.limits().max_connections + TOLD_WHY:
                transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Make room."""
        self._shared.leave(self)
        self._inflow.drop()
        self._leave()
        super().connection_lost(exc)
        # They refer to us, as we to them: else only the garbage collector could end it.
        self.cycle = self._answering = None  # type: ignore[assignment]  # as it is before the first request
        self.pipeline.clear()

    def data_received(self, data: bytes) -> None:
        """Parse what came, or keep it until it is this connection's turn. A heartbeat never waits."""
        if self.since is None:
            self.since = self.loop.time()
            self.idle_since = None
        if is_heartbeat(data) and not self._inflow.unparsed:
            self.parse(data)
        elif not self._refused:
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
        HttpToolsProtocol.on_message_begin(self)
        self._inflow.spent = 0.0
        self._in_head = True
        self._hosts = 0
        if self.since is None:
            self.since = self.loop.time()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, as the base takes it; what comes behind a body (trailers) is dropped."""
        if not self._in_head:
            self._trailers += 1
            if self._trailers > MAX_HEADERS:
                # What a callback raises ends the parsing of this read.
                self._too_large_a_head()
                raise _Refused
            return
        name = name.lower()
        self.headers.append((name, value))
        if name == b"host":
            self._hosts += 1
        elif name == b"expect":
            self.expect_100_continue = value.lower() == b"100-continue"
        elif name == b"transfer-encoding":
            self._fault = self._fault or fault_of_coding(value)

    def on_headers_complete(self) -> None:
        """What follows is the body."""
        self._in_head, self._progressed = False, True
        self._trailers = self._chunks = self._body_bytes = 0
        self._upgrading = self.parser.should_upgrade()
        if self.url[:1] != b"/":
            take_host_of_target(self.url, self.headers)
        if len(self.headers) > MAX_HEADERS or (self._overhead > SURELY and size_of(self.url, self.headers) > MAX_HEAD):
            self._too_large_a_head()
        elif self._turned_away:
            self.refuse(Problem(503, self._turned_away, kind="busy", headers={"Retry-After": "1"}))
        elif self._hosts != 1 and (self._hosts or self.parser.get_http_version() == "1.1"):
            self.refused("malformed")
            self.refuse(not_one_host(self._hosts))
        elif self._fault is not None:
            self.refused("malformed")
            self.refuse(self._fault)
        elif not self._upgrading:
            if not self.trusted:
                self._shared.busy(self)
            if self.expect_100_continue:
                # Source: RFC 9110 10.1.1.
                self.expect_100_continue = self.parser.get_http_version() != "1.0"
            HttpToolsProtocol.on_headers_complete(self)
            if self.scope["path"] == EVENTS:
                # A stream whose reader takes nothing is cut at the end: a closing connection would wait for it.
                self.scope["extensions"] = {ABORT: {ABORT: self.transport.abort}}

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
            raise _Refused

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._progressed = True
        self._body_bytes += len(body)
        if not self._refused:
            HttpToolsProtocol.on_body(self, body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._progressed = True
        if self._refused or self._upgrading:
            return
        HttpToolsProtocol.on_message_complete(self)
        self.since = None
        if self.cycle.response_complete:
            self._wait()

    def on_response_complete(self) -> None:
        """The answer is written; the connection may wait for the next request."""
        # Not the base's, which sets a timer for each request: one looks after all connections.
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self.since is None:
            self._wait()

    def _wait(self) -> None:
        """For the next request."""
        self.idle_since = self.loop.time()
        if not self.trusted:
            self._shared.idle(self)

    def pause_writing(self) -> None:
        """The peer reads more slowly than we write."""
        super().pause_writing()
        if self.blocked_since is None:
            self.blocked_since, self._unread = self.loop.time(), self.transport.get_write_buffer_size()

    def resume_writing(self) -> None:
        """The peer has read most of it."""
        super().resume_writing()
        self.blocked_since = None

    def shutdown(self) -> None:
        """The server ends: so does the connection, once its request is answered; one that is not whole is refused."""
        cycle = self.cycle
        if self.transport.is_closing():
            return
        if cycle is not None and cycle.more_body and not cycle.response_started and not self.pipeline:
            self.refuse(Problem(503, f"the registry is stopping: {NOT_ACKNOWLEDGED}", kind=STOPPING, headers=RETRY))
        else:
            super().shutdown()

    def under_way(self) -> bool:
        """Whether an answer is not made yet, or not all of it was taken."""
        waiting = [cycle for cycle in (self._answering, self.cycle) if cycle is not None and not cycle.disconnected]
        unfinished = not all(cycle.response_complete for cycle in waiting)
        return unfinished or self.transport.get_write_buffer_size() > 0

    def cut(self) -> None:
        """End the connection at once, whatever is still to be sent."""
        self._leave()
        self.transport.abort()

    def close_idle(self) -> None:
        """Make room for another connection."""
        self._refused = True
        self.transport.close()

    def overdue(self) -> None:
        """The request did not arrive in time; it is refused unless the waiting is our own doing."""
        if self.transport.is_closing():
            return
        serving = self.cycle is not None and not self.cycle.more_body and not self.cycle.response_complete
        if self.flow.read_paused or self._inflow.unparsed:
            self.since = self.loop.time()
        elif not serving:
            self.refused("receive_timeout")
            self.refuse(Problem(408, "the request did not arrive whole within limits.receive_timeout: send it faster"))

    def cut_slow_reader(self, now: float) -> None:
        """End the connection of a peer that has read too little since; else count from now on."""
        unread = self.transport.get_write_buffer_size()
        if unread and unread > self._unread - PROGRESS:
            self.refused("send_timeout")
            self.transport.abort()
        else:
            self.blocked_since, self._unread = now, unread

    def _refuse_late(self, problem: Problem) -> None:
        if not self.transport.is_closing():
            self.refuse(problem)

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

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        # `cycle` of the base is the last request that came; others may wait before it.
        self._answering = cycle
        if cycle.scope["path"].endswith(HEARTBEAT_PATH):
            super()._start_asgi_task(cycle, app)
        else:
            self._rounds.begin(partial(self._start, cycle, app), writes=cycle.scope["method"] not in READS)

    def _start(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if not cycle.disconnected:
            super()._start_asgi_task(cycle, app)

    def _leave(self) -> None:
        """Whatever answers a request now answers nobody."""
        for cycle in (self._answering, self.cycle):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()

    def in_body(self) -> bool:
        """Whether the latest request's body is awaited."""
        return self.cycle is not None and self.cycle.more_body

    def no_room(self) -> None:
        """Too much of all connections waits to be parsed."""
        self.refused("busy")
        self.refuse(Problem(503, "too much arrives at once: send it again soon", kind="busy", headers=RETRY))
        self._inflow.drop()

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
