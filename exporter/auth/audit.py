"""Who changed what: one log line and one entry for each change that a person or a program made."""

from __future__ import annotations

import logging
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from exporter.auth.keyring import CredentialKind, Principal
from exporter.domain.clock import MINUTE, Clock
from exporter.domain.registration import Registration
from exporter.domain.timestamp import format_timestamp

MAX_ENTRIES = 10_000
MAX_OF_ONE = 1_000
"""Entries about one node, which may change as often as it likes, and pushes out no others."""
MAX_REPEATED = 1_000
REPEAT_AFTER = MINUTE
"""A refusal that repeats itself is recorded once in this time, so that it cannot push out everything else."""
REGISTERED, UPDATED, DEREGISTERED = "register", "update", "deregister"
MAINTENANCE, DRAIN, BACK, ACCEPTED = "maintenance", "drain", "in_service", "accept"
RELOADED, RELOAD_REFUSED, CLAIM_REFUSED = "reload", "reload_refused", "claim_refused"
SHOWN = ("role", "vpn_ip", "public_ip")
"""Facts whose change is recorded."""
ACTOR = "actor"
"""The key of a request's scope under which its Actor stands."""
TRUSTED, BUS = "trusted network", "event bus"
_log = logging.getLogger("aurora.audit")

Entry = dict[str, str]
Listener = Callable[[Entry], object]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: the credential that was shown, and where from."""

    principal: Principal | None = None
    address: str = ""
    request_id: str = ""
    otherwise: str = TRUSTED
    """What lets those act who showed no credential."""

    def __str__(self) -> str:
        return str(self.principal) if self.principal else self.otherwise

    def may_act_for(self, node: str) -> bool:
        """Whether the credential is not another node's."""
        return self.principal is None or self.principal.kind is not CredentialKind.NODE or self.principal.name == node


LOCAL = Actor(otherwise="signal")


class AuditLog:
    """The latest entries, in memory: a restart forgets them, the log does not."""

    def __init__(self, clock: Clock) -> None:
        self.listeners: list[Listener] = []
        """Each is called with every entry, as `GET /audit` has it."""
        self._clock = clock
        self._entries: OrderedDict[int, tuple[int, Entry]] = OrderedDict()
        """By number, in order."""
        self._of_node: dict[str, deque[int]] = {}
        self.number = 0
        """Of the latest entry."""
        self._refused: OrderedDict[tuple[str, ...], int] = OrderedDict()

    def record(self, action: str, actor: Actor, node: str = "", detail: str = "") -> None:
        """Something was changed, or refused."""
        if action == CLAIM_REFUSED and self._is_repeated(action, node, str(actor), actor.address):
            return
        at_ns = self._clock.wall_ns()
        entry = {"at": format_timestamp(at_ns), "action": action}
        if node:
            entry["node"] = node
        entry["by"] = str(actor)
        entry |= {key: value for key, value in _further(actor, detail) if value}
        self._keep(at_ns, entry)
        _log.info(action, extra={key: value for key, value in entry.items() if key not in {"at", "action"}})
        for listener in self.listeners:
            listener(entry)

    def registered(self, actor: Actor, before: Registration | None, now: Registration) -> None:
        """A node registered: recorded where it is new, or where its role or an address of it changed."""
        if before is None:
            self.record(REGISTERED, actor, now.name)
            return
        changes = [
            f"{name}: {getattr(before, name) or 'none'} -> {getattr(now, name) or 'none'}"
            for name in SHOWN
            if getattr(before, name) != getattr(now, name)
        ]
        if changes:
            self.record(UPDATED, actor, now.name, ", ".join(changes))

    def latest(self, limit: int, node: str = "", since_ns: int = 0) -> list[Entry]:
        """Entries since then (wall clock), newest first; only those about a node, where one is named."""
        matching = (
            entry
            for at_ns, entry in reversed(self._entries.values())
            if at_ns >= since_ns and (not node or entry.get("node") == node)
        )
        return list(islice(matching, limit))

    def _keep(self, at_ns: int, entry: Entry) -> None:
        self.number += 1
        self._entries[self.number] = at_ns, entry
        numbers = self._of_node.setdefault(entry.get("node", ""), deque())
        numbers.append(self.number)
        if len(numbers) > MAX_OF_ONE:
            del self._entries[numbers.popleft()]
        elif len(self._entries) > MAX_ENTRIES:
            _, (_, oldest) = self._entries.popitem(last=False)
            name = oldest.get("node", "")
            self._of_node[name].popleft()
            if not self._of_node[name]:
                del self._of_node[name]

    def _is_repeated(self, *what: str) -> bool:
        now_ns = self._clock.monotonic_ns()
        before_ns = self._refused.get(what)
        if before_ns is not None and now_ns - before_ns < REPEAT_AFTER:
            return True
        self._refused[what] = now_ns
        self._refused.move_to_end(what)
        if len(self._refused) > MAX_REPEATED:
            self._refused.popitem(last=False)
        return False


def _further(actor: Actor, detail: str) -> tuple[tuple[str, str], ...]:
    return ("address", actor.address), ("request_id", actor.request_id), ("detail", detail)
