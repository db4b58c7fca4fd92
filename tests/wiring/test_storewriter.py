"""The one writer, with a store that follows orders."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from exporter.domain.command import Depart, Register
from exporter.domain.errors import NameConflict, StoreRefused, StoreUnavailable
from exporter.domain.heartbeat import Heartbeat
from exporter.domain.node import Node, NodeRecord
from exporter.domain.registration import Registration
from exporter.domain.status import Status, Thresholds, Transport
from exporter.nodemap.nodemap import NodeMap
from exporter.process.tasks import end_tasks
from exporter.stores import sqlite
from exporter.stores.base import Batch, Saved, Store, Unconfirmed
from exporter.stores.memory import MemoryStore
from exporter.stores.sqlite import SqliteStore
from exporter.telemetry.metrics import Telemetry
from exporter.wiring import storehealth, storewriter
from exporter.wiring.commandqueue import AT_ONCE
from exporter.wiring.storewriter import StoreWriter
from tests.support.clock import ManualClock
from tests.support.durables import NOW


class ObedientStore(MemoryStore):
    """Follows a store's rules, and fails when the test says so. It tests no durability, delay or other process."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[Batch] = []
        self.faults: list[Exception] = []
        """What the next saves of any change raise; a mark alone is taken."""
        self.applies_all_the_same = False

    async def save(self, batch: Batch) -> Saved:
        self.batches.append(batch)
        await asyncio.sleep(0)
        if self.faults and (batch.records or batch.transitions):
            if self.applies_all_the_same:
                await super().save(batch)
            raise self.faults.pop(0)
        return await super().save(batch)


class Desk:
    """A writer that runs, and what it announced."""

    def __init__(self, store: Store) -> None:
        self.clock = ManualClock()
        self.announced: list[str] = []
        self.telemetry = Telemetry(version="1", revision="", started_ns=0, store_up=bool, event_bus_up=lambda: None)
        self.writer = StoreWriter(
            store,
            self.clock,  # type: ignore[arg-type]  # it follows no other clock
            lambda: NodeMap(self.clock, Thresholds()),
            source=None,
            announce=self._announce,
            telemetry=self.telemetry,
        )

    def _announce(self, _: Batch, saved: Saved) -> None:
        self.announced += [*saved.records, *saved.tombstones, *(f"{each.node} {each.to}" for each in saved.transitions)]

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self.writer.hurry()
                await asyncio.sleep(0.001)

    async def register(self, name: str, role: str = "compute") -> None:
        await self.writer.submit(Register(Registration(name, role=role)))

    def beat(self, name: str) -> None:
        self.writer.node_map.heartbeat(Heartbeat(name), Transport.BUS, appear=True)

    def pass_time(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.advance(1)
            self.writer.node_map.tick()


@contextlib.asynccontextmanager
async def writing(store: Store) -> AsyncIterator[Desk]:
    desk = Desk(store)
    running = asyncio.create_task(desk.writer.run())
    try:
        await desk.until(lambda: running.done() or (desk.writer.loaded and desk.writer.store_up))
        yield desk
    finally:
        await end_tasks([running])
        await desk.writer.stop()
        if not running.cancelled():
            running.result()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storehealth, "RETRY_SECONDS", (0.001, 0.001))


def test_commands_of_one_node_are_written_one_after_the_other() -> None:
    """Each is planned upon what came before; those of others go along."""

    async def scenario() -> None:
        store = ObedientStore()
        async with writing(store) as desk:
            store.batches.clear()
            await asyncio.gather(desk.register("a", "lead"), desk.register("a", "storage"), desk.register("b"))
            written = [[*batch.records] for batch in store.batches if batch.records]
            assert written == [["a", "b"], ["a"]]
            assert desk.writer.node_map.get("a").facts.role == "storage"
            revisions = [batch.records["a"].revision_ns for batch in store.batches if "a" in batch.records]
            assert revisions == sorted(set(revisions))
            await desk.writer.submit(Depart("a"))
            assert Counter(desk.announced) == {"a": 2, "b": 1}  # it came and went

    asyncio.run(scenario())


@pytest.mark.parametrize("fault", [[], [StoreUnavailable("no")]])
def test_callers_that_wait_for_the_same_write_are_answered_a_few_at_a_time(fault: list[Exception]) -> None:
    """Answered or refused, so that heartbeats have their turn in between."""

    async def scenario() -> list[int]:
        store = ObedientStore()
        async with writing(store) as desk:
            store.faults += fault
            callers = [asyncio.create_task(desk.register(f"n{number}")) for number in range(10 * AT_ONCE)]
            answered = [0]
            while answered[-1] < len(callers):
                await asyncio.sleep(0)
                answered.append(sum(caller.done() for caller in callers))
            refused = [caller for caller in callers if caller.exception() is not None]
            assert len(refused) == len(fault) * len(callers)
            return [after - before for before, after in pairwise(answered)]

    assert 0 < max(asyncio.run(scenario())) <= AT_ONCE


def test_a_claim_that_came_second_is_a_name_conflict() -> None:
    """Another registry wrote another machine's registration in the same moment; the rest of the batch stands."""

    class Claimed(ObedientStore):
        async def save(self, batch: Batch) -> Saved:
            theirs = NodeRecord(Registration("a", node_id="one"), NOW, NOW, epoch=NOW)
            return replace(await super().save(batch), standing=dict.fromkeys({*batch.bases} & {"a"}, theirs))

    async def scenario() -> None:
        async with writing(Claimed()) as desk:
            submit = desk.writer.submit
            answers = await asyncio.gather(
                submit(Register(Registration("a", node_id="two"))),
                submit(Register(Registration("b", node_id="two"))),
                return_exceptions=True,
            )
            assert isinstance(answers[0], NameConflict)
            assert isinstance(answers[1], Node)
            assert desk.writer.node_map.get("a").facts.node_id == "one"

    asyncio.run(scenario())


def test_a_refused_command_changes_nothing_and_may_be_repeated() -> None:
    """Its caller gets the reason; the store is asked again."""

    async def scenario() -> None:
        store = ObedientStore()
        async with writing(store) as desk:
            store.faults = [StoreUnavailable("the disk is full")]
            with pytest.raises(StoreUnavailable, match="the disk is full"):
                await desk.register("a")
            assert desk.writer.node_map.find("a") is None
            await desk.until(lambda: desk.writer.store_up)
            await desk.register("a")
            assert desk.announced == ["a"]
            assert desk.telemetry.store_writes_failed == 1

    asyncio.run(scenario())


def test_while_the_store_is_down_memory_goes_on_and_is_saved_once_it_is_back() -> None:
    """A node that appeared, and a transition: recorded and announced once each."""

    async def scenario() -> None:
        store = ObedientStore()
        async with writing(store) as desk:
            await desk.register("a")
            store.faults = [StoreUnavailable("no")] * 5
            desk.beat("b")
            desk.pass_time(121)
            await desk.until(lambda: not store.faults and desk.writer.store_up)
            await desk.until(lambda: not desk.writer.node_map.pending)
            assert Counter(desk.announced) == Counter(["a", "b", "a warning", "b warning"])
        snapshot = await store.load()
        assert {node.record.name: node.status for node in snapshot.nodes} == dict.fromkeys("ab", Status.WARNING)

    asyncio.run(scenario())


def test_a_write_that_was_given_up_and_applied_later_is_read_back() -> None:
    """Its caller was refused; but it is in the store, so it counts: memory and store agree."""

    async def scenario() -> None:
        store = ObedientStore()
        async with writing(store) as desk:
            store.faults, store.applies_all_the_same = [Unconfirmed("no answer")], True
            with pytest.raises(StoreUnavailable, match="no answer"):
                await desk.register("a")
            await desk.until(lambda: desk.writer.node_map.find("a"))

    asyncio.run(scenario())


def test_sqlite_applies_late_what_was_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A disk that hangs: the thread goes on with the write once it answers."""
    hangs, write = threading.Event(), sqlite._Opened.save
    hangs.set()

    def save(opened: sqlite._Opened, batch: Batch) -> Saved:
        if batch.records:
            assert hangs.wait(30)
        return write(opened, batch)

    monkeypatch.setattr(sqlite._Opened, "save", save)

    async def scenario() -> None:
        async with writing(SqliteStore(tmp_path / "a.db")) as desk:
            monkeypatch.setattr(sqlite, "ANSWER_SECONDS", 0.01)
            hangs.clear()
            with pytest.raises(StoreUnavailable, match="the disk did not answer in time"):
                await desk.register("a")
            assert desk.writer.node_map.find("a") is None
            monkeypatch.setattr(sqlite, "ANSWER_SECONDS", 10)
            hangs.set()
            await desk.until(lambda: desk.writer.node_map.find("a") and desk.writer.store_up)

    asyncio.run(scenario())


def test_a_change_of_the_whole_mesh_is_written_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """No batch is larger than a few milliseconds of work, and each transition is recorded once."""
    monkeypatch.setattr(storewriter, "MAX_BEHIND", 10)
    names = [f"n{number}" for number in range(95)]

    async def scenario() -> None:
        store = ObedientStore()
        async with writing(store) as desk:
            for name in names:
                desk.beat(name)
            desk.pass_time(121)
            await desk.until(lambda: len(desk.announced) == 2 * len(names))
            await desk.until(lambda: not desk.writer.node_map.pending)
            parts = [(batch.records, batch.transitions, batch.heartbeats) for batch in store.batches]
            assert max(len(kind) for part in parts for kind in part) == 10
            assert Counter(desk.announced) == Counter([*names, *(f"{name} warning" for name in names)])

    asyncio.run(scenario())


def test_a_store_that_must_not_be_touched_ends_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never an empty map in place of what could not be read."""

    async def load(_: MemoryStore) -> None:
        raise StoreRefused("it is damaged")

    monkeypatch.setattr(MemoryStore, "load", load)

    async def scenario() -> None:
        async with writing(ObedientStore()) as desk:
            assert not desk.writer.loaded

    with pytest.raises(StoreRefused, match="it is damaged"):
        asyncio.run(scenario())
