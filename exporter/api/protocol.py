"""uvicorn's HTTP protocol with what it lacks: an end to waiting for a request, and to the length of its headers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import service_unavailable
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from exporter.api.events import ABORT, EVENTS
from exporter.api.problems import MEDIA_TYPE, Problem
from exporter.api.sender import ResponseSender
from exporter.api.tracing import request_id_of
from exporter.domain.clock import SECOND
from exporter.domain.config import Limits

HEAD = b"content-type: %b\r\ncontent-length: %d\r\nx-request-id: %b\r\nconnection: close\r\n\r\n"
MAX_HEAD = 65_536
"""Bytes of a request's line and headers."""
LONGEST_PAUSE, LOOKS = 1.0, 4
"""Connections are looked at every second, or four times in the timeout where that is shorter."""


class DeadlineProtocol(HttpToolsProtocol):
    """A request that is not whole in time is answered 408, one with endless headers 431; then the connection ends.

    The time runs from the connection's beginning, or from a later request's first byte. One timer looks after all
    connections of a server, so that a request costs none.
    """

    receive_timeout_ns: Callable[[], int] = staticmethod(lambda: Limits().receive_timeout)
    _sweeps: ClassVar[WeakKeyDictionary[ServerState, _Sweep]] = WeakKeyDictionary()

    @classmethod
    def within(cls, receive_timeout_ns: Callable[[], int]) -> type[DeadlineProtocol]:
        """The protocol with another timeout; it is asked anew at each look, so that a reload may change it."""
        return type(cls.__name__, (cls,), {"receive_timeout_ns": staticmethod(receive_timeout_ns)})

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.since: float | None = self.loop.time()
        """Since when a request is arriving; None between requests, where uvicorn's keep-alive ends the wait."""
        self._head_size = 0
        self._in_head = True
        self._head_ended = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin to wait for a request."""
        super().connection_made(transport)
        sweep = self._sweeps.get(self.server_state)
        if sweep is None:
            sweep = self._sweeps[self.server_state] = _Sweep(self.loop, self.connections)
        sweep.begin(self.receive_timeout_ns)

    def data_received(self, data: bytes) -> None:
        """Take in what came, as long as its headers end somewhere."""
        if self.since is None:
            self.since = self.loop.time()
        # What comes behind the end of a head, or of a body, is that request's body or the next one's beginning.
        self._head_ended = not self._in_head
        super().data_received(data)
        if self._in_head:
            self._head_size = 0 if self._head_ended else self._head_size + len(data)
            if self._head_size > MAX_HEAD and not self.transport.is_closing():
                self.refuse(Problem(431, f"expected a request line and headers of at most {MAX_HEAD} bytes together"))

    def on_message_begin(self) -> None:
        """The first byte of a request; it may follow another one's last byte at once."""
        super().on_message_begin()
        if self.since is None:
            self.since = self.loop.time()

    def on_headers_complete(self) -> None:
        """What follows is the body."""
        self._in_head, self._head_ended = False, True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is whole."""
        super().on_message_complete()
        self.since = None
        self._in_head = True
        self._head_size = 0

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if cycle.scope["path"] == EVENTS:
            # A stream whose reader takes nothing is cut: a closing connection would wait for it.
            cycle.scope["extensions"] = {ABORT: {ABORT: self.transport.abort}}
        super()._start_asgi_task(cycle, _say_busy if app is service_unavailable else app)

    def send_400_response(self, msg: str) -> None:
        """A problem document in place of uvicorn's plain text."""
        del msg
        self.refuse(Problem(400, "this is no HTTP/1.1 request"))

    def overdue(self) -> None:
        """The request did not arrive in time; it is refused unless the waiting is our own doing."""
        if self.transport.is_closing():
            return
        serving = self.cycle is not None and not self.cycle.more_body and not self.cycle.response_complete
        if self.flow.read_paused:
            self.since = self.loop.time()
        elif not serving:
            self.refuse(Problem(408, "the request did not arrive whole within limits.receive_timeout: send it faster"))

    def refuse(self, problem: Problem) -> None:
        """Answer, unless an answer is on its way, and end the connection."""
        cycle = self.cycle
        ours = cycle is not None and cycle.scope is self.scope
        if cycle is None or (not cycle.response_started if ours else cycle.response_complete):
            body, request_id = problem.body(), request_id_of(dict(self.headers) if ours else {})
            self.transport.write(STATUS_LINE[problem.status] + HEAD % (MEDIA_TYPE, len(body), request_id) + body)
        if cycle is not None and not cycle.response_complete:
            # Whatever answers it now answers nobody.
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()


async def _say_busy(scope: Any, receive: Any, send: Any) -> None:
    """In place of uvicorn's plain text when its `limit_concurrency` is reached."""
    del receive
    headers = {"Retry-After": "1"}
    problem = Problem(
        503, "too many connections (limits.max_connections): try again soon", kind="busy", headers=headers
    )
    answer = ResponseSender(send, [(b"x-request-id", request_id_of(dict(scope["headers"])))])
    await answer.problem(problem, close=True)


class _Sweep:
    """Looks at all connections of a server from time to time, as long as there are any."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connections: set[Any]) -> None:
        self._loop = loop
        self._connections = connections
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, receive_timeout_ns: Callable[[], int]) -> None:
        """Begin to look, unless that goes on already."""
        if self._timer is None:
            pause = min(LONGEST_PAUSE, receive_timeout_ns() / SECOND / LOOKS)
            self._timer = self._loop.call_later(pause, self._look, receive_timeout_ns)

    def _look(self, receive_timeout_ns: Callable[[], int]) -> None:
        self._timer = None
        before = self._loop.time() - receive_timeout_ns() / SECOND
        for connection in list(self._connections):
            if connection.since is not None and connection.since <= before:
                connection.overdue()
        if self._connections:
            self.begin(receive_timeout_ns)
