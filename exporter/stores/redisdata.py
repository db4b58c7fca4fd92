"""The data in a Redis: whose it is, in which format, and all of it at once. What cannot be used is set aside."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import replace
from heapq import nlargest
from typing import Any, TypeVar

from redis.exceptions import ResponseError

from exporter.domain.clock import HOUR
from exporter.domain.errors import StoreUnavailable
from exporter.domain.largelists import sorted_in_parts
from exporter.domain.node import NodeRecord, Tombstone
from exporter.domain.recordchecks import UNREADABLE, BadRecord, RecordFault, fault_of
from exporter.domain.text import shown
from exporter.domain.transition import Transition
from exporter.redislink.connecting import connect
from exporter.redislink.errors import REDIS_ERRORS, explain
from exporter.redislink.masterwatch import MasterWatch
from exporter.redislink.url import RedisUrl
from exporter.stores import rediscodec as codec
from exporter.stores.base import DatasetLost, LastHeartbeat, Mark, OnRejected, Snapshot, overlook
from exporter.stores.redisscripts import PRUNE, STATE, TYPES, UPGRADE
from exporter.stores.rules import KEEP_MARKS, KEEP_TOMBSTONES, MAX_TOMBSTONES, registration_order, stored_node

ANSWER_SECONDS = 1.6
"""For one question, connecting included."""
MAX_ASIDE = 10_000
"""So many values that cannot be used are kept."""
MARK_AHEAD = 24 * HOUR
"""A mark from further ahead is nobody's: it would make all nodes look as old as that."""
FORMAT = "2"
"""Of all that we write; the first part of the dataset's id. Format 1 is upgraded."""
Value = TypeVar("Value")
_log = logging.getLogger("aurora.store")


class UnusableStore(StoreUnavailable):
    """What is there is not ours, or cannot be read: a registry that starts refuses it."""


class RedisData:
    """Asks one Redis, and loads from it. `on_rejected` gets what is set aside."""

    def __init__(self, url: RedisUrl) -> None:
        self.url = url
        self.client = connect(url)
        self.on_rejected: OnRejected = overlook
        self._watch = MasterWatch(self.client)
        self._state_script = self.client.register_script(STATE)
        self._prune_script = self.client.register_script(PRUNE)
        self._types_script = self.client.register_script(TYPES)
        self._upgrade_script = self.client.register_script(UPGRADE)

    async def load(self, known: codec.RedisState) -> Snapshot:
        """Everything, in parts, so that neither Redis nor we are held up; raises DatasetLost if it changed hands."""
        marks = await self._load_marks(await self._mesh_ns() or known.time_ns)
        mark = max(marks.values(), key=lambda each: each.alive_ns, default=None)
        tombstones = await self._load_hash(codec.TOMBSTONES, codec.read_tombstone)
        await self._expire_tombstones(tombstones, (mark.alive_ns if mark else known.time_ns) - KEEP_TOMBSTONES)
        await self._index_tombstones(tombstones)
        recorded = await self._load_hash(codec.RECORDED, codec.read_recorded)
        heartbeats = await self._load_hash(codec.HEARD, codec.read_heard)
        records = await self._load_hash(codec.NODES, codec.read_record)
        self.check_same(await self.state(), known)
        # In a thread, since a hundred thousand nodes would hold up the event loop.
        snapshot = await asyncio.to_thread(_snapshot, records, tombstones, heartbeats, recorded, mark)
        return replace(snapshot, marks=marks)

    async def adopt(self) -> codec.RedisState:
        """Whose data is there, in a format of ours; an empty Redis gets a dataset id."""
        await self._watch.follow()
        await self._check_types()
        state = await self.state()
        if not state.dataset:
            async with self.asking():
                await self.client.set(codec.DATASET, f"{FORMAT}:{secrets.token_hex(8)}", nx=True)
            state = await self.state()
        version = state.dataset.partition(":")[0]
        if version == "1":
            await self._upgrade_from_1(state.dataset)
            return await self.adopt()
        if version != FORMAT:
            raise UnusableStore(
                f"Redis at {self.url.safe} cannot be used: its format is {version!r}, and this version of the registry "
                f"knows {FORMAT!r}: install the version that wrote it again, or name another database"
            )
        return state

    async def _upgrade_from_1(self, dataset: str) -> None:
        """Two registries may do so at once. Those of the older version are refused from then on, and say so."""
        found = [name for key in (codec.RECORDED, codec.HEARD) async for values in self._scan(key) for name in values]
        names = [name.decode(errors="replace") for name in dict.fromkeys(found)]
        for start in range(0, len(names), codec.PART):
            part = names[start : start + codec.PART]
            histories = [key for name in part for key in (codec.history_of_format_1(name), codec.history(name))]
            async with self.asking():
                await self._upgrade_script([codec.RECORDED, codec.HEARD, *histories], part)
        async with self.asking():
            await self.client.set(codec.DATASET, f"{FORMAT}:{dataset.partition(':')[2]}")
        _log.info("the store was upgraded", extra={"redis": self.url.safe, "format": FORMAT})

    async def state(self) -> codec.RedisState:
        """What stands there now: whose data, which process, the last change, the clock."""
        async with self.asking():
            return codec.read_state(await self._state_script([codec.DATASET, codec.CHANGES]))

    async def check_master(self) -> None:
        """Raise DatasetLost where the Sentinels name another master than before; asked once a second."""
        if await self._watch.replaced():
            raise self.lost()

    def check_same(self, state: codec.RedisState, known: codec.RedisState) -> None:
        """Raise DatasetLost unless both are of one process with one dataset."""
        if (state.dataset, state.run) != (known.dataset, known.run):
            raise self.lost()

    def lost(self) -> DatasetLost:
        """The error for data that may have been lost."""
        return DatasetLost(
            f"Redis at {self.url.safe} restarted, failed over or was emptied: what it may have lost is saved again"
        )

    async def _check_types(self) -> None:
        """Set aside the keys of ours that hold something else; without dataset and nodes, nothing can be known."""
        keys = list(codec.TYPES)
        async with self.asking():
            wrong = [keys[index] for index in await self._types_script(keys, list(codec.TYPES.values()))]
        for key in wrong:
            if key in {codec.DATASET, codec.NODES}:
                raise UnusableStore(
                    f"Redis at {self.url.safe} cannot be used: another application has keys under {codec.PREFIX}, "
                    f"{key} is no {codec.TYPES[key]}: name another database"
                )
            self.on_rejected(key, RecordFault.KEY_TYPE, f"expected a {codec.TYPES[key]}; it was renamed")

    async def _load_hash(self, key: str, read: Callable[[str, bytes], Value]) -> dict[str, Value]:
        """The hash's values by name; what cannot be read is set aside."""
        values: dict[str, Value] = {}
        async for found in self._scan(key):
            bad: dict[bytes, bytes] = {}
            for field, value in found.items():
                try:
                    name = field.decode()
                    values[name] = read(name, value)
                except UNREADABLE as error:
                    self.on_rejected(f"{shown(field)} in {key}", fault_of(error), str(error))
                    bad[field] = value
            if bad:
                await self._set_aside(key, bad)
        return values

    async def _scan(self, key: str) -> AsyncIterator[dict[bytes, bytes]]:
        """The hash in parts; a field may be in two of them."""
        cursor: int | None = None
        while cursor != 0:
            found: Any
            async with self.asking():
                cursor, found = await self.client.hscan(key, cursor or 0, count=codec.SCAN)
                part = dict(found.items())
            yield part

    async def _set_aside(self, key: str, values: dict[bytes, bytes]) -> None:
        """Keep a copy of what cannot be used, since its node may register again and take its place."""
        prefix = key.removeprefix(codec.PREFIX).encode() + b":"
        with contextlib.suppress(StoreUnavailable):
            async with self.asking():
                if await self.client.hlen(codec.ASIDE) < MAX_ASIDE:
                    await self.client.hset(
                        codec.ASIDE, mapping={prefix + field: value for field, value in values.items()}
                    )

    async def _mesh_ns(self) -> int:
        """The latest mesh time that a registry wrote, which no wall clock moves; 0 where there is none."""
        async with self.asking():
            value: Any = await self.client.get(codec.TIME)
        return codec.read_mesh_time(value)

    async def _load_marks(self, now_ns: int) -> dict[str, Mark]:
        """By registry; those of registries that are long gone are removed. `now_ns`: mesh time."""

        def read(instance: str, value: bytes) -> Mark:
            mark = codec.read_mark(instance, value)
            if mark.alive_ns > now_ns + MARK_AHEAD:
                raise BadRecord(RecordFault.TIME, "its time is in the future")
            return mark

        marks = await self._load_hash(codec.MARKS, read)
        old = [instance for instance, mark in marks.items() if mark.alive_ns < now_ns - KEEP_MARKS]
        if old:
            async with self.asking():
                await self.client.hdel(codec.MARKS, *old)
            async with self.asking():
                await self.client.hdel(codec.PEERS, *old)
        return {instance: mark for instance, mark in marks.items() if instance not in old}

    async def _expire_tombstones(self, tombstones: dict[str, Tombstone], before_ns: int) -> None:
        """Remove old tombstones, and those that are too many, with their nodes' history, in place and in Redis."""
        newest = nlargest(MAX_TOMBSTONES, (tombstone.revision_ns for tombstone in tombstones.values()))
        if len(newest) == MAX_TOMBSTONES:
            before_ns = max(before_ns, newest[-1])
        old = [name for name, tombstone in tombstones.items() if tombstone.revision_ns < before_ns]
        for start in range(0, len(old), codec.PART):
            names = old[start : start + codec.PART]
            keys = [codec.TOMBSTONES, codec.RECORDED, codec.DEPARTURES, *map(codec.history, names)]
            async with self.asking():
                await self._prune_script(keys, [b"%020d" % before_ns, *names])
        for name in old:
            del tombstones[name]

    async def _index_tombstones(self, tombstones: dict[str, Tombstone]) -> None:
        """Bring into order what a registry of an earlier build, which knew no such order, wrote."""
        async with self.asking():
            if await self.client.zcard(codec.DEPARTURES) >= len(tombstones):
                return
        members = [codec.departure(tombstone) for tombstone in tombstones.values()]
        for start in range(0, len(members), codec.PART):
            async with self.asking():
                await self.client.zadd(codec.DEPARTURES, dict.fromkeys(members[start : start + codec.PART], 0))

    def readable(
        self, where: str, read: Callable[[str, Any], Value], items: Iterable[tuple[str, Any]]
    ) -> Iterator[Value]:
        """What can be read of the items, which are (name, value)."""
        for name, item in items:
            try:
                yield read(name, item)
            except UNREADABLE as error:
                self.on_rejected(where, fault_of(error), str(error))

    @contextlib.asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        """Ask one question: it is answered in time, or StoreUnavailable says why not."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                yield
        except REDIS_ERRORS as error:
            if isinstance(error, ResponseError) and "DATASETLOST" in str(error):
                raise self.lost() from None
            if isinstance(error, ResponseError) and "WRONGTYPE" in str(error):
                raise UnusableStore(
                    f"Redis at {self.url.safe} cannot be used: another application has keys under {codec.PREFIX}: "
                    "name another database"
                ) from None
            # The cause is left out: redis-py's own texts and attributes may name what must not be logged.
            raise StoreUnavailable(explain(error, self.url)) from None


def _snapshot(
    records: dict[str, NodeRecord],
    tombstones: dict[str, Tombstone],
    heartbeats: dict[str, LastHeartbeat],
    recorded: dict[str, Transition],
    mark: Mark | None,
) -> Snapshot:
    # Read at different moments, a node and its tombstone may both be there: the later one is true.
    for name in tombstones.keys() & records.keys():
        if tombstones[name].revision_ns > records[name].revision_ns:
            del records[name]
        else:
            del tombstones[name]
    nodes = [stored_node(record, heartbeats.get(name), recorded.get(name)) for name, record in records.items()]
    return Snapshot(sorted_in_parts(nodes, registration_order), list(tombstones.values()), mark)
