"""Connections have limits: of their number, of the time that a request takes to arrive, and of slow readers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from uvicorn.config import Config
from uvicorn.server import ServerState

from exporter.api.connections import ConnectionLimits, source_of
from exporter.api.framing import RETRY, FramedProtocol, ignore
from exporter.api.problems import NOT_ACKNOWLEDGED, Problem
from exporter.api.stream import STOPPING
from exporter.api.sweep import Sweep
from exporter.domain.config import Limits

PROGRESS = 65_536
"""Bytes that a reader must take in each `limits.send_timeout`."""
ANSWERED_ABOVE = 64
"""So many connections above the limit are answered why they are refused; the others are closed at once."""


def _trust_all(_: str) -> bool:
    return True


class DeadlineProtocol(FramedProtocol):
    """A request that is not whole in time is answered 408, and a reader that does not read is cut off.

    The time runs from the connection's beginning, or from a later request's first byte. One timer checks all
    connections of a server, so that a request costs none.
    """

    __slots__ = ("_shared", "_unread", "blocked_since", "source")
    limits: Callable[[], Limits] = staticmethod(Limits)
    is_trusted: Callable[[str], bool] = staticmethod(_trust_all)
    _sweeps: ClassVar[WeakKeyDictionary[ServerState, Sweep]] = WeakKeyDictionary()

    @classmethod
    def within(
        cls,
        limits: Callable[[], Limits],
        is_trusted: Callable[[str], bool] = _trust_all,
        refused: Callable[[str], None] = ignore,
    ) -> type[DeadlineProtocol]:
        """The protocol with other limits, which are read again at each use, so that a reload may change them.

        `is_trusted`: whether a peer's address is trusted. `refused` is called with the reason of each refusal here.
        """
        names: dict[str, Callable[..., Any]] = {"limits": limits, "is_trusted": is_trusted, "refused": refused}
        members = {name: staticmethod(each) for name, each in names.items()}
        return type(cls.__name__, (cls,), {"__slots__": (), **members})

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.source = ""
        self.blocked_since: float | None = None
        """Since when the peer has not read PROGRESS bytes of what it was sent."""
        self._unread = 0
        self._shared = ConnectionLimits.of(server_state)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin to wait for a request, if there is room for another connection."""
        super().connection_made(transport)
        host = self.client[0] if self.client else ""
        self.source, self.trusted = source_of(host), self.is_trusted(host)
        sweep = self._sweeps.get(self.server_state)
        if sweep is None:
            sweep = self._sweeps[self.server_state] = Sweep(self.loop, self.connections, self.timeout_keep_alive)
        sweep.begin(self.limits)
        reason = self._shared.admit(self, self.limits(), self.refused)
        if reason:
            self.no_place = Problem(503, reason, kind="busy", headers={"Retry-After": "1"})
            self.refused("connections")
            if len(self.connections) > self.limits().max_connections + ANSWERED_ABOVE:
                transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Make room."""
        self._shared.leave(self)
        super().connection_lost(exc)

    def busy(self) -> None:
        """The connection is in use."""
        self._shared.busy(self)

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
            self.wait()

    def idle(self) -> None:
        """The connection waits for its next request."""
        self._shared.idle(self)

    def pause_writing(self) -> None:
        """The peer reads more slowly than we write."""
        self.flow.pause_writing()
        if self.blocked_since is None:
            self.blocked_since, self._unread = self.loop.time(), self.transport.get_write_buffer_size()

    def resume_writing(self) -> None:
        """The peer has read most of it."""
        self.flow.resume_writing()
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
