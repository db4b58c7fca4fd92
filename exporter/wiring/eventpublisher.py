"""Telling the bus what the store took: once, whichever registry was the first to have it recorded."""

from __future__ import annotations

import logging

from exporter.bus.publisher import BusPublisher
from exporter.domain.durable import Batch
from exporter.domain.eventnames import DEREGISTERED, FORGOTTEN, REGISTERED, STATUS_CHANGED
from exporter.domain.node import Removal
from exporter.domain.timestamp import format_timestamp
from exporter.stores.base import Saved

log = logging.getLogger("aurora.nodes")


class EventPublisher:
    """Called with each saved batch; logs and publishes what this registry was the first to tell."""

    def __init__(self, publisher: BusPublisher | None) -> None:
        """Without a publisher, only the log hears of it."""
        self._publisher = publisher

    def __call__(self, batch: Batch, saved: Saved) -> None:
        """Registrations, transitions and departures, in this order."""
        for name in saved.records:
            record = batch.records[name]
            data = {"node": name, "role": record.registration.role, "at": format_timestamp(record.registered_at_ns)}
            self._tell(REGISTERED, data)
        for transition in saved.transitions:
            at = format_timestamp(transition.at_ns)
            data = {"node": transition.node, "from": transition.from_, "to": transition.to, "at": at}
            self._tell(STATUS_CHANGED, data)
        for name in saved.tombstones:
            tombstone = batch.tombstones[name]
            departed = tombstone.removal is Removal.DEPARTED
            data = {"node": name, "at": format_timestamp(tombstone.at_ns)}
            self._tell(DEREGISTERED if departed else FORGOTTEN, data)

    def _tell(self, event_type: str, data: dict[str, str]) -> None:
        log.info(event_type, extra=data)
        if self._publisher is not None:
            self._publisher.publish(event_type, data)
