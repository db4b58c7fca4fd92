"""The registry's own life: what it does by itself, while others have their turn on the event loop."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from itertools import pairwise

from exporter.auth.audit import Actor
from exporter.domain.clock import SECOND
from exporter.domain.command import Register
from exporter.domain.config import Config
from exporter.domain.durable import Snapshot
from exporter.domain.registration import Registration
from exporter.domain.status import Status, Thresholds
from exporter.exposition import yielder
from exporter.nodemap.loading import load
from exporter.nodemap.nodemap import NodeMap
from exporter.stores.memory import MemoryStore
from exporter.wiring.registry import Registry

NODES, FEW = 1_000, 50


def test_when_many_nodes_go_missing_together_a_few_change_between_two_turns_of_the_loop(monkeypatch):
    """Else each heartbeat meanwhile waits for hundreds of changes, and all those behind it as well."""
    # As on a machine so slow that each step takes its time.
    monkeypatch.setattr(yielder, "STRETCH_NS", 0)
    config = replace(Config(), thresholds=Thresholds(SECOND, 3 * SECOND, 300 * SECOND))
    registry = Registry(config, MemoryStore(), lambda: config)

    async def play() -> list[int]:
        while not registry.ready:  # noqa: ASYNC110 - nothing says so
            await asyncio.sleep(0)
        await asyncio.gather(*(registry.submit(Register(Registration(f"n{number}"))) for number in range(NODES)))
        missing = [registry.node_map.totals.statuses[Status.WARNING]]
        async with asyncio.timeout(30):
            while missing[-1] < NODES:
                missing.append(registry.node_map.totals.statuses[Status.WARNING])
                await asyncio.sleep(0)
        return [after - before for before, after in pairwise(missing)]

    async def scenario() -> list[int]:
        changed: list[int] = []

        async def serve() -> None:
            changed.extend(await play())

        await registry.run(serve)
        return changed

    assert 0 < max(asyncio.run(scenario())) <= FEW


def test_a_reload_while_nodes_are_loaded_counts_for_the_map_that_comes_of_it(monkeypatch):
    """Else the registry shows the new thresholds and judges by the old ones."""
    old = replace(Config(), thresholds=Thresholds(SECOND, 3 * SECOND, 300 * SECOND))
    new = replace(old, thresholds=Thresholds(SECOND, 5 * SECOND, 500 * SECOND))
    loading, reloaded = threading.Event(), threading.Event()

    def slowly(node_map: NodeMap, snapshot: Snapshot) -> None:
        loading.set()
        assert reloaded.wait(30)
        load(node_map, snapshot)

    monkeypatch.setattr("exporter.nodemap.loading.load", slowly)
    registry = Registry(old, MemoryStore(), lambda: new)

    async def serve() -> None:
        await asyncio.to_thread(loading.wait)
        await registry.reload(Actor())
        reloaded.set()
        async with asyncio.timeout(30):
            while not registry.ready or registry.node_map.thresholds != new.thresholds:  # noqa: ASYNC110 - nothing says so
                await asyncio.sleep(0.01)

    asyncio.run(registry.run(serve))
    assert registry.node_map.thresholds == new.thresholds
