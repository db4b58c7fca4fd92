"""Events on the bus for what the store took: once, by the registry that was the first to have it recorded."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterator

from exporter.bus.publisher import BusPublisher
from exporter.domain.durable import Batch
from exporter.domain.eventnames import DEREGISTERED, FORGOTTEN, REGISTERED, STATUS_CHANGED
from exporter.domain.node import Removal
from exporter.domain.timestamp import format_timestamp
from exporter.stores.base import Saved

TOGETHER = 200
"""So many are published before others have their turn."""
log = logging.getLogger("aurora.nodes")


class EventPublisher:
    """Called with each saved batch; logs and publishes what this registry was the first to write."""

    def __init__(self, publisher: BusPublisher | None) -> None:
        """Without a publisher, it is only logged."""
        self._publisher = publisher
        self._saved: deque[tuple[Batch, Saved]] = deque()
        self._telling: Iterator[tuple[str, dict[str, str]]] = iter(())
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
            while self._tell_some(TOGETHER):  # noqa: ASYNC110 - it waits for nothing, it gives way
                await asyncio.sleep(0)

    def flush(self) -> None:
        """Publish all that is left."""
        while self._tell_some(TOGETHER):
            pass

    def _tell_some(self, count: int) -> bool:
        """Publish so many; whether there were as many."""
        for _ in range(count):
            while (event := next(self._telling, None)) is None:
                if not self._saved:
                    return False
                self._telling = self._events(*self._saved.popleft())
            self._publish(*event)
        return True

    @staticmethod
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

    def _publish(self, event_type: str, data: dict[str, str]) -> None:
        log.info(event_type, extra=data)
        if self._publisher is not None:
            self._publisher.publish(event_type, data)
