"""A store that forgets: for trials and tests."""

from __future__ import annotations

import asyncio
import time
from bisect import insort
from collections.abc import AsyncIterator, Collection

from exporter.domain.node import NodeRecord, Tombstone
from exporter.domain.transition import Transition
from exporter.stores.base import Batch, LastHeartbeat, Mark, OnRejected, Recent, Saved, Snapshot, overlook
from exporter.stores.rules import (
    KEEP_TOMBSTONES,
    MAX_TOMBSTONES,
    MAX_TRANSITIONS,
    Last,
    Number,
    Version,
    apply,
    newest_first,
    registration_order,
    stored_node,
)

CHUNK = 500
"""Nodes' histories between two pauses."""


class MemoryStore:
    """Keeps nothing beyond the process: it follows every rule of a store but durability."""

    shared = False
    changes_taken = 0
    instance = ""
    durable: bool | None = False

    def __init__(self) -> None:
        self.on_rejected: OnRejected = overlook
        self._rows = _DictRows()
        self._mark: Mark | None = None

    async def open(self) -> None:
        """Nothing to make ready."""

    async def probe(self) -> None:
        """It takes every write."""

    async def load(self) -> Snapshot:
        """What was saved in this process."""
        rows = self._rows
        rows.prune((self._mark.alive_ns if self._mark else time.time_ns()) - KEEP_TOMBSTONES)
        nodes = [
            stored_node(record, rows.heartbeats.get(name), rows.last_transition(name))
            for name, record in rows.records.items()
        ]
        return Snapshot(sorted(nodes, key=registration_order), list(rows.tombstones.values()), self._mark)

    async def save(self, batch: Batch) -> Saved:
        """Apply the batch."""
        self._mark = batch.mark or self._mark
        return apply(batch, self._rows)

    async def agreed(self) -> None:
        """Nothing to do."""

    async def transitions(self, name: str, limit: int) -> list[Transition]:
        """Newest first."""
        return list(self._rows.history.get(name, ()))[:limit]

    async def recent(self, since_ns: int, limit: int) -> Recent:
        """Of all that is kept."""
        rows = self._rows
        tombstones = [tombstone for tombstone in rows.tombstones.values() if tombstone.at_ns >= since_ns]
        transitions: list[Transition] = []
        for position, history in enumerate(list(rows.history.values())):
            transitions += [each for each in history if each.at_ns >= since_ns]
            if position % CHUNK == 0:
                transitions = newest_first(transitions, (), limit).transitions
                await asyncio.sleep(0)  # others have the event loop in between
        return newest_first(transitions, tombstones, limit)

    async def by_others(self, names: Collection[str]) -> Batch:  # noqa: ARG002 - nobody else writes here
        """Nothing."""
        return Batch()

    async def changes(self) -> AsyncIterator[Batch]:
        """None: nobody else writes here."""
        return
        yield

    async def time_ns(self) -> int:
        """The host's own wall clock."""
        return time.time_ns()

    async def close(self) -> None:
        """Nothing to release."""


class _DictRows:
    def __init__(self) -> None:
        self.records: dict[str, NodeRecord] = {}
        self.tombstones: dict[str, Tombstone] = {}
        """Oldest first."""
        self.heartbeats: dict[str, LastHeartbeat] = {}
        self.history: dict[str, list[Transition]] = {}
        """Newest first."""

    def record_versions(self, names: Collection[str]) -> dict[str, Version]:
        found = [self.records[name] for name in names if name in self.records]
        return {record.name: Version(record.revision_ns, record.epoch) for record in found}

    def tombstone_versions(self, names: Collection[str]) -> dict[str, Version]:
        found = [self.tombstones[name] for name in names if name in self.tombstones]
        return {tombstone.name: Version(tombstone.revision_ns, tombstone.epoch) for tombstone in found}

    def last_transitions(self, names: Collection[str]) -> dict[str, Last]:
        lasts = [(name, self.last_transition(name)) for name in names]
        return {name: Last.of(last) for name, last in lasts if last is not None}

    def last_transition(self, name: str) -> Transition | None:
        history = self.history.get(name)
        return history[0] if history else None

    def transitions_at(self, numbers: Collection[Number]) -> dict[Number, Transition]:
        found = [each for name in {name for name, _ in numbers} for each in self.history.get(name, ())]
        return {(each.node, each.sequence): each for each in found if (each.node, each.sequence) in numbers}

    def put_record(self, record: NodeRecord) -> None:
        self.tombstones.pop(record.name, None)
        self.records[record.name] = record

    def put_tombstone(self, tombstone: Tombstone) -> None:
        self.records.pop(tombstone.name, None)
        self.heartbeats.pop(tombstone.name, None)
        self.tombstones.pop(tombstone.name, None)
        self.tombstones[tombstone.name] = tombstone

    def limit_tombstones(self) -> None:
        while len(self.tombstones) > MAX_TOMBSTONES:
            oldest = next(iter(self.tombstones))
            del self.tombstones[oldest]
            self.history.pop(oldest, None)

    def put_transitions(self, transitions: list[Transition]) -> None:
        for transition in transitions:
            history = self.history.setdefault(transition.node, [])
            insort(history, transition, key=lambda each: -each.sequence)
            del history[MAX_TRANSITIONS:]

    def put_heartbeats(self, heartbeats: dict[str, LastHeartbeat]) -> None:
        for name, latest in heartbeats.items():
            before = self.heartbeats.get(name)
            if name in self.records and (before is None or latest.stamp_ns > before.stamp_ns):
                self.heartbeats[name] = latest

    def prune(self, before_ns: int) -> None:
        for name in [name for name, tombstone in self.tombstones.items() if tombstone.revision_ns < before_ns]:
            del self.tombstones[name]
            self.history.pop(name, None)
