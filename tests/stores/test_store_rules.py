"""Random batches against a model that is nothing but dicts and the rules' own words: all stores agree with it."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.redislink.url import parse_redis_url
from exporter.stores.base import Batch, Saved
from exporter.stores.memory import MemoryStore
from exporter.stores.redis import RedisStore
from exporter.stores.sqlite import SqliteStore
from tests.support.durables import NOW, heartbeats, record, stored, tombstone, transition

NAMES = ("a", "b", "c")
at = st.integers(0, 12)
statuses = st.sampled_from(["active", "warning", "offline"])


@st.composite
def batches(draw):
    batch = Batch()
    for name in draw(st.sets(st.sampled_from(NAMES))):
        revision, registered = draw(at), draw(at)
        if draw(st.booleans()):
            batch.records[name] = record(name, revision, registered, role=draw(st.sampled_from(["worker", "lead"])))
        else:
            batch.tombstones[name] = tombstone(name, revision, registered)
    for name, when, to in draw(st.lists(st.tuples(st.sampled_from(NAMES), at, statuses), max_size=5)):
        batch.transitions.append(transition(name, when, to))
    for name, when, to in draw(st.lists(st.tuples(st.sampled_from(NAMES), at, statuses), max_size=3)):
        batch.history.append(transition(name, when, to))
    for name in draw(st.sets(st.sampled_from(NAMES))):
        batch.heartbeats[name] = heartbeats(draw(at), draw(st.sampled_from(["http", "bus"])))
    return batch


class Model:
    """The rules as `exporter.stores.base` words them."""

    def __init__(self):
        self.here, self.gone, self.heartbeats, self.history = {}, {}, {}, {}

    def save(self, batch):  # noqa: C901, PLR0912 - the rules in one piece, to be read beside their words
        saved = Saved()
        for name, new in batch.records.items():
            there = self.here.get(name) or self.gone.get(name)
            if there is None or new.revision_ns >= revision(there):
                if name not in self.here:
                    saved.records.add(name)
                self.here[name] = new
                self.gone.pop(name, None)
        for name, new in batch.tombstones.items():
            there = self.here.get(name) or self.gone.get(name)
            if there is None or new.revision_ns > revision(there):
                if name not in self.gone:
                    saved.tombstones.add(name)
                self.gone[name] = new
                self.here.pop(name, None)
                self.heartbeats.pop(name, None)
        for new in batch.transitions:
            owner = self.here.get(new.node) or self.gone.get(new.node)
            last = self.history.get(new.node, [None])[0]
            if owner is None:
                continue
            status = last and (last.to if last.sequence > owner.epoch else "active")
            if last is None or (new.sequence > last.sequence and new.to != status):
                self.history.setdefault(new.node, []).insert(0, new)
                saved.transitions.append(new)
            elif new in self.history[new.node]:
                saved.transitions.append(new)
        for new in batch.history:
            known = self.history.get(new.node, [])
            if (new.node in self.here or new.node in self.gone) and new.sequence not in {old.sequence for old in known}:
                self.history[new.node] = sorted([*known, new], key=lambda old: -old.sequence)
        for name, new in batch.heartbeats.items():
            if name in self.here and (
                name not in self.heartbeats or new.last_seen_ns > self.heartbeats[name].last_seen_ns
            ):
                self.heartbeats[name] = new
        return saved

    def nodes(self):
        found = []
        for name, there in self.here.items():
            beat = self.heartbeats.get(name)
            last = self.history.get(name, [None])[0]
            seen = there.epoch - NOW
            if beat and beat.stamp_ns >= there.epoch:
                seen = beat.last_seen_ns - NOW
            node = stored(there, seen, beat.transport if beat else "http", last)
            found.append(node)
        return sorted(found, key=lambda node: (node.record.epoch, node.record.name))


def revision(there):
    return there.revision_ns


@pytest.mark.servers
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(batches(), min_size=1, max_size=6))
def test_all_stores_keep_the_rules(steps, shared_redis, tmp_path_factory):
    shared_redis.cli("FLUSHALL")
    stores = [
        MemoryStore(),
        SqliteStore(tmp_path_factory.mktemp("rules") / "aurora.db"),
        RedisStore(parse_redis_url(shared_redis.url)),
    ]
    asyncio.run(compare(stores, steps))


async def compare(stores, steps):
    for store in stores:
        model = Model()
        try:
            await store.open()
            await store.load()
            for batch in steps:
                expected, saved = model.save(batch), await store.save(batch)
                assert (saved.records, saved.tombstones) == (expected.records, expected.tombstones)
                assert saved.transitions == expected.transitions
                snapshot = await store.load()
                assert snapshot.nodes == model.nodes()
                assert {gone.name: gone for gone in snapshot.tombstones} == model.gone
            for name in NAMES:
                assert await store.transitions(name, 100) == model.history.get(name, [])
        finally:
            await store.close()


@pytest.mark.servers
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=st.lists(batches(), max_size=4), second=st.lists(batches(), max_size=4), order=st.randoms())
def test_what_one_registry_learns_of_another_leads_to_the_same_state(first, second, order, shared_redis):
    """A replica that applies `changes` to the snapshot that it loaded has what the store has."""
    shared_redis.cli("FLUSHALL")
    turns = [0] * len(first) + [1] * len(second)
    order.shuffle(turns)
    asyncio.run(follow(shared_redis.url, (iter(first), iter(second)), turns))


async def follow(url, queues, turns):
    one, two, reader = (RedisStore(parse_redis_url(url)) for _ in range(3))
    reported = Model()
    try:
        for store in (one, two, reader):
            await store.open()
            await store.load()
        for turn in turns:
            await (one, two)[turn].save(next(queues[turn]))
        await one.save(Batch({"end": record("end")}))
        async for batch in reader.changes():
            reported.save(batch)
            if "end" in batch.records:
                break
        snapshot = await reader.load()
        assert {node.record.name: node.record for node in snapshot.nodes} == reported.here
        assert {gone.name: gone for gone in snapshot.tombstones} == reported.gone
        for name in NAMES:
            assert await reader.transitions(name, 100) == reported.history.get(name, [])
    finally:
        for store in (one, two, reader):
            await store.close()
