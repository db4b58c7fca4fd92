"""What becomes of an event that came over the bus."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from exporter.auth.audit import BUS, CLAIM_REFUSED, DEREGISTERED, REGISTERED, Actor, AuditLog
from exporter.auth.keyring import Principal
from exporter.bus.events import Unreadable, read_event
from exporter.bus.signatures import SignatureCheck
from exporter.domain.clock import Clock
from exporter.domain.command import Command, Depart, Register
from exporter.domain.errors import (
    DepartedNode,
    Invalid,
    NameConflict,
    NodeLimit,
    StillLoading,
    StoreUnavailable,
    UnknownNode,
)
from exporter.domain.heartbeat import Heartbeat
from exporter.domain.status import Transport
from exporter.nodemap.nodemap import NodeMap
from exporter.telemetry.metrics import Rejection, Telemetry
from exporter.telemetry.ratelimit import RateLimitedLogger

MAX_WAITING_BYTES = 32 * 2**20
"""Of registrations and departures that wait for the store."""
_OVERHEAD_BYTES = 1024
MAX_TOGETHER = 512
_log = logging.getLogger("aurora.bus")


class BusConsumer:
    """Heartbeats are taken in at once; what must be durable waits for `work`, so that nobody's heartbeat does."""

    def __init__(
        self,
        *,
        node_map: Callable[[], NodeMap],
        submit: Callable[[Command], Awaitable[object]],
        telemetry: Telemetry,
        clock: Clock,
        signatures: SignatureCheck,
        audit: AuditLog,
    ) -> None:
        """`node_map` raises StillLoading until there is one; `submit` as a Service has it."""
        self._node_map = node_map
        self._submit = submit
        self._telemetry = telemetry
        self._signatures = signatures
        self._audit = audit
        self._warnings = RateLimitedLogger(_log, clock)
        self._waiting: deque[tuple[Register | Depart, Principal | None, int]] = deque()
        self._waiting_bytes = 0
        self._arrived = asyncio.Event()

    def take(self, payload: bytes) -> None:
        """Take in one event. What cannot be taken in is counted and changes nothing."""
        try:
            event = read_event(payload)
            if event is None:
                return
            signer = self._signatures.check(payload, event)
            if isinstance(event, Heartbeat):
                node_map = self._node_map()
                known = node_map.find(event.node) is not None
                node_map.heartbeat(event, Transport.BUS, appear=True)
                self._telemetry.heartbeats[Transport.BUS] += 1
                if not known:
                    self._audit.record(REGISTERED, _actor(signer), event.node)
            else:
                self._wait(event, signer, len(payload) + _OVERHEAD_BYTES)
        except Unreadable as fault:
            self._reject(fault.reason, str(fault))
        except Invalid as fault:
            self._reject(Rejection.BAD_HEARTBEAT, str(fault))
        except NodeLimit as fault:
            self._reject(Rejection.NODE_LIMIT, str(fault))
        except (DepartedNode, StillLoading):
            # A stray of a node that left, or of a time before the map: neither is anybody's mistake.
            return

    async def work(self) -> None:
        """Submit what waits, in order for each node, until cancelled."""
        while True:
            await self._arrived.wait()
            await asyncio.gather(*(self._submit_one(*waiting) for waiting in self._next_commands()))
            if not self._waiting:
                self._arrived.clear()

    def _wait(self, command: Register | Depart, signer: Principal | None, size: int) -> None:
        if self._waiting_bytes + size > MAX_WAITING_BYTES:
            self._reject(Rejection.OVERLOAD, f"{len(self._waiting)} registrations and departures wait for the store")
            return
        self._waiting.append((command, signer, size))
        self._waiting_bytes += size
        self._arrived.set()

    def _next_commands(self) -> list[tuple[Register | Depart, Principal | None]]:
        """Those that may be submitted together: each is of another node."""
        commands: dict[str, tuple[Register | Depart, Principal | None]] = {}
        while self._waiting and len(commands) < MAX_TOGETHER and self._waiting[0][0].name not in commands:
            command, signer, size = self._waiting.popleft()
            self._waiting_bytes -= size
            commands[command.name] = command, signer
        return list(commands.values())

    async def _submit_one(self, command: Register | Depart, signer: Principal | None) -> None:
        try:
            before = self._node_map().find(command.name)
            facts = before.facts if before else None
            await self._submit(command)
            if isinstance(command, Register):
                self._audit.registered(_actor(signer), facts, command.registration)
            else:
                self._audit.record(DEREGISTERED, _actor(signer), command.name)
        except NameConflict as fault:
            self._audit.record(CLAIM_REFUSED, _actor(signer), command.name)
            self._node_map().note_conflict(command.name)
            self._reject(Rejection.NAME_CONFLICT, str(fault))
        except NodeLimit as fault:
            self._reject(Rejection.NODE_LIMIT, str(fault))
        except UnknownNode as fault:
            # Another registry on the same store may have heard the same departure first.
            if command.name not in self._node_map().departed:
                self._reject(Rejection.UNKNOWN_NODE, str(fault))
        except (StoreUnavailable, StillLoading) as fault:
            self._reject(Rejection.STORE_UNAVAILABLE, str(fault))

    def _reject(self, reason: Rejection, fault: str) -> None:
        self._telemetry.events_rejected[reason] += 1
        self._warnings.warn("an event on the bus was not taken in", reason, fault)


def _actor(signer: Principal | None) -> Actor:
    return Actor(signer, otherwise=BUS)
