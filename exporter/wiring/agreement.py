"""Memory and store agree: what is loaded at the start, merged after an outage, and followed from then on."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Callable, Iterator
from dataclasses import replace

from exporter.domain.durable import Snapshot
from exporter.domain.errors import StoreUnavailable
from exporter.exposition.yielder import Yielder
from exporter.nodemap import loading, merging
from exporter.nodemap.history import MAX_RECENT
from exporter.nodemap.nodemap import NodeMap
from exporter.stores.base import Store
from exporter.wiring.sharing import Sharing


async def load(store: Store, sharing: Sharing, new_map: Callable[[], NodeMap]) -> NodeMap:
    """A new map, filled from the store; raises StoreUnavailable and StoreRefused."""
    with _collector_off():
        snapshot = await _read(store)
        await sharing.read_time(at_once=True)
        node_map = new_map()
        # In a thread, which nobody else shares the map with yet: others have their turn.
        await asyncio.to_thread(loading.load, node_map, snapshot)
    node_map.room.warn_if_exceeded()
    return node_map


async def merge(store: Store, sharing: Sharing, node_map: NodeMap) -> None:
    """Read the store again, and agree; what it lacks is pending then. Raises StoreUnavailable and StoreRefused."""
    snapshot = await _read(store)
    await sharing.read_time(at_once=True)
    await _complete(merging.merge(node_map, snapshot))


async def _read(store: Store) -> Snapshot:
    """All that the store has, with the latest transitions: of a disk of ours, if it gives them in time."""
    snapshot = await store.load()
    try:
        recent = await store.recent(0, MAX_RECENT)
    except StoreUnavailable:
        if store.shared:
            raise
        return snapshot
    return replace(snapshot, recent=recent.transitions)


async def follow(store: Store, sharing: Sharing, node_map: NodeMap) -> None:
    """Take in what other registries save, until cancelled; raises StoreUnavailable where that breaks."""
    async for batch in store.changes():
        await _complete(merging.adopt(node_map, batch))
        sharing.followed(node_map)


async def _complete(steps: Iterator[None]) -> None:
    """All steps, and others have their turn in between."""
    yielder = Yielder()
    for _ in steps:
        await yielder.maybe_yield()


@contextlib.contextmanager
def _collector_off() -> Iterator[None]:
    """Nodes live long: the garbage collector need not look at them again and again, neither now nor later."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
