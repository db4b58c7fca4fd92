"""How an event from the bus is processed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import islice

from exporter.auth.audit import BUS, CLAIM_REFUSED, DEREGISTERED, REGISTERED, Actor, AuditLog
from exporter.auth.keyring import Principal
from exporter.bus.events import Unreadable, read_event
from exporter.bus.signatures import SignatureCheck
from exporter.domain.clock import SECOND, Clock
from exporter.domain.command import Command, Depart, Register
from exporter.domain.errors import (
    AuroraError,
    DepartedNode,
    Invalid,
    NameConflict,
    NodeLimit,
    StateLimit,
    StillLoading,
    StoreUnavailable,
    Superseded,
    UnknownNode,
)
from exporter.domain.heartbeat import Heartbeat
from exporter.domain.node import Node
from exporter.domain.registration import Registration
from exporter.domain.status import Transport
from exporter.nodemap.nodemap import NodeMap
from exporter.telemetry.metrics import Telemetry
from exporter.telemetry.ratelimit import RateLimitedLogger
from exporter.telemetry.reasons import Rejection

MAX_WAITING_BYTES = 96 * 2**20
"""Of registrations and departures that wait for the store; with more, nothing is read from the bus."""
_OVERHEAD_BYTES = 512
ROOM_SECONDS = 0.1
"""The longest that reading waits for room at a time: answers to pings have to be read as well."""
ASK_EVERY = 60 * SECOND
MAX_ASKED = 100_000
MAX_TOGETHER = 512
_Key = tuple[str, str | None, bool]
"""The node, who claims to be it (None: it departs), and whether that is after a departure which waits too."""
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
        request_registration: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`node_map` raises StillLoading until there is one; `submit` as a Service has it.

        `request_registration`: asks the node of this name to register, since all we know of it is its heartbeat.
        """
        self._node_map = node_map
        self._submit = submit
        self._telemetry = telemetry
        self._signatures = signatures
        self._audit = audit
        self._warnings = RateLimitedLogger(_log, clock)
        self._clock = clock
        self._request_registration = request_registration
        self._asked: dict[str, tuple[int, Registration | None]] = {}
        """The nodes that should register: when each may be asked again, and what we knew of it when it was asked."""
        self._waiting: dict[_Key, tuple[Register | Depart, Principal | None, int]] = {}
        """The newest of each, in order."""
        self._waiting_bytes = 0
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

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
                node = node_map.heartbeat(event, Transport.BUS, appear=True)
                self._telemetry.heartbeats[Transport.BUS] += 1
                if not known:
                    self._audit.record(REGISTERED, _actor(signer), event.node)
                if not known or event.node in self._asked:
                    self._ask(node)
            else:
                self._wait(self._dated(event), signer, len(payload) + _OVERHEAD_BYTES)
        except Unreadable as fault:
            self._reject(fault.reason, str(fault))
        except Invalid as fault:
            self._reject(Rejection.BAD_HEARTBEAT, str(fault))
        except NodeLimit as fault:
            self._reject(Rejection.NODE_LIMIT, str(fault))
        except StateLimit as fault:
            self._reject(Rejection.STATE_LIMIT, str(fault))
        except (DepartedNode, StillLoading):
            # A late heartbeat of a node that left, or from before the map: neither is a mistake.
            return

    async def work(self) -> None:
        """Submit what waits, in order for each node, until cancelled."""
        while True:
            await self._arrived.wait()
            await asyncio.gather(*(self._submit_one(*waiting) for waiting in self._next_commands()))
            if not self._waiting:
                self._arrived.clear()

    async def room(self) -> None:
        """Wait, a moment at most, while more waits for the store than we can keep: then nothing is read."""
        if not self._room.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ROOM_SECONDS):
                    await self._room.wait()

    def _dated(self, command: Register | Depart) -> Register | Depart:
        """The command; where it may have waited, with when that began, and a registration is no heartbeat then."""
        with contextlib.suppress(StillLoading):
            node_map = self._node_map()
            if command.since_ns is None:
                command = replace(command, since_ns=node_map.waited_since_ns())
            if isinstance(command, Register) and node_map.waited_on_bus():
                command = replace(command, heartbeat=False)
        return command

    def _wait(self, command: Register | Depart, signer: Principal | None, size: int) -> None:
        if self._waiting_bytes + size > 2 * MAX_WAITING_BYTES:
            self._reject(Rejection.OVERLOAD, f"{len(self._waiting)} registrations and departures wait for the store")
            self._note_unregistered(command.name)
            return
        departure = command.name, None, False
        claimant = command.registration.node_id if isinstance(command, Register) else None
        key = departure if claimant is None else (command.name, claimant, departure in self._waiting)
        before = self._waiting.pop(key, None)
        self._waiting[key] = command, signer, size
        self._waiting_bytes += size - (before[-1] if before else 0)
        if self._waiting_bytes > MAX_WAITING_BYTES:
            self._room.clear()
        self._arrived.set()

    def _next_commands(self) -> list[tuple[Register | Depart, Principal | None]]:
        """Those that may be submitted together: each is of another node."""
        keys: dict[str, _Key] = {}
        for key in islice(self._waiting, MAX_TOGETHER):
            if key[0] in keys:
                break
            keys[key[0]] = key
        taken = [self._waiting.pop(key) for key in keys.values()]
        self._waiting_bytes -= sum(size for _, _, size in taken)
        if self._waiting_bytes <= MAX_WAITING_BYTES:
            self._room.set()
        return [(command, signer) for command, signer, _ in taken]

    def _ask(self, node: Node) -> None:
        """Ask the node to register, once a minute until it does."""
        now_ns = self._clock.monotonic_ns()
        again_ns, known = self._asked.get(node.name, (now_ns, None))
        if known is not None and known is not node.facts:
            del self._asked[node.name]
        elif now_ns >= again_ns:
            self._note_unregistered(node.name, now_ns + ASK_EVERY, node.facts)
            self._request_registration(node.name)

    def _note_unregistered(self, name: str, ask_ns: int = 0, known: Registration | None = None) -> None:
        if name not in self._asked and len(self._asked) >= MAX_ASKED:
            del self._asked[next(iter(self._asked))]
        self._asked[name] = ask_ns, known

    async def _submit_one(self, command: Register | Depart, signer: Principal | None) -> None:
        command = self._dated(command)  # Again: we may have been stopped while it waited here.
        try:
            before = self._node_map().find(command.name)
            facts = before.facts if before else None
            await self._submit(command)
            self._asked.pop(command.name, None)
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
        except StateLimit as fault:
            self._reject(Rejection.STATE_LIMIT, str(fault))
        except UnknownNode as fault:
            # Another registry on the same store may have received the same departure first.
            if command.name not in self._node_map().departed:
                self._reject(Rejection.UNKNOWN_NODE, str(fault))
        except Superseded as fault:
            self._drop(command, Rejection.SUPERSEDED, fault)
        except (StoreUnavailable, StillLoading) as fault:
            self._drop(command, Rejection.STORE_UNAVAILABLE, fault)

    def _drop(self, command: Register | Depart, reason: Rejection, fault: AuroraError) -> None:
        if isinstance(command, Register):
            # Nobody answers on the bus: its next heartbeat makes us ask for it again.
            self._note_unregistered(command.name)
        self._reject(reason, str(fault))

    def _reject(self, reason: Rejection, fault: str) -> None:
        self._telemetry.events_rejected[reason] += 1
        self._warnings.warn("an event on the bus was rejected", reason, fault)


def _actor(signer: Principal | None) -> Actor:
    return Actor(signer, otherwise=BUS)
