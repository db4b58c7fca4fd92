"""Events on the bus for what the store took: once, by the registry that was the first to have it recorded."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Iterator

from exporter.bus.publisher import BusPublisher
from exporter.domain.clock import SECOND, Clock
from exporter.domain.durable import Batch
from exporter.domain.eventnames import DEREGISTERED, FORGOTTEN, REGISTERED, STATUS_CHANGED
from exporter.domain.node import Removal
from exporter.domain.timestamp import format_timestamp
from exporter.domain.transition import Transition
from exporter.exposition.yielder import Yielder
from exporter.stores.base import Saved

LOGGED_EACH, LOGGED_A_SECOND = 500, 50
"""So many transitions at once have a log line each, and so many a second in the long run; those of a batch with more
are counted by status."""
log = logging.getLogger("aurora.nodes")


class EventPublisher:
    """Called with each saved batch; logs and publishes what this registry was the first to write."""

    def __init__(self, publisher: BusPublisher | None, clock: Clock) -> None:
        """Without a publisher, it is only logged."""
        self._publisher = publisher
        self._clock = clock
        self._may_log = float(LOGGED_EACH)
        self._looked_ns = clock.monotonic_ns()
        self._saved: deque[tuple[Batch, Saved]] = deque()
        self._events: Iterator[tuple[str, dict[str, str]]] = iter(())
        self._log_each = True
        self._arrived = asyncio.Event()

    def __call__(self, batch: Batch, saved: Saved) -> None:
        """Take note; `run` comes to it."""
        if saved.records or saved.transitions or saved.tombstones:
            self._saved.append((batch, saved))
            self._arrived.set()

    async def run(self) -> None:
        """Publish until cancelled, a few at a time, so that a change of the whole mesh keeps nobody waiting."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            yielder = Yielder()
            while self._publish_next():
                await yielder.maybe_yield()

    def flush(self) -> None:
        """Publish all that is left."""
        while self._publish_next():
            pass

    def _publish_next(self) -> bool:
        """One event; whether there was one."""
        while (event := next(self._events, None)) is None:
            if not self._saved:
                return False
            batch, saved = self._saved.popleft()
            self._log_each = self._may_log_each(len(saved.transitions))
            if not self._log_each:
                _log_summary(saved.transitions)
            self._events = _events(batch, saved)
        event_type, data = event
        if self._log_each or event_type != STATUS_CHANGED:
            log.info(event_type, extra=data)
        if self._publisher is not None:
            self._publisher.publish(event_type, data)
        return True

    def _may_log_each(self, transitions: int) -> bool:
        now_ns = self._clock.monotonic_ns()
        since_s, self._looked_ns = (now_ns - self._looked_ns) / SECOND, now_ns
        self._may_log = min(LOGGED_EACH, self._may_log + LOGGED_A_SECOND * since_s)
        may_log = transitions <= self._may_log
        self._may_log -= transitions if may_log else 0
        return may_log


def _events(batch: Batch, saved: Saved) -> Iterator[tuple[str, dict[str, str]]]:
    """Registrations, transitions and departures, in this order."""
    for name in saved.records:
        record = batch.records[name]
        data = {"node": name, "role": record.registration.role, "at": format_timestamp(record.registered_at_ns)}
        yield REGISTERED, data
    for transition in saved.transitions:
        at = format_timestamp(transition.at_ns)
        data = {"node": transition.node, "from": transition.from_, "to": transition.to, "at": at}
        yield STATUS_CHANGED, data
    for name in saved.tombstones:
        tombstone = batch.tombstones[name]
        departed = tombstone.removal is Removal.DEPARTED
        data = {"node": name, "at": format_timestamp(tombstone.at_ns)}
        yield (DEREGISTERED if departed else FORGOTTEN), data


def _log_summary(transitions: list[Transition]) -> None:
    for (before, after), count in Counter((each.from_, each.to) for each in transitions).items():
        log.info("many nodes changed their status", extra={"from": before, "to": after, "nodes": count})
