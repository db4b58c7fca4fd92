"""The store in a Redis, which several registries may share: one server, one behind Sentinels, or a cluster."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import replace
from heapq import nlargest
from typing import Any, TypeVar

import msgspec
from redis.exceptions import ResponseError

from exporter.domain.clock import HOUR
from exporter.domain.errors import StoreRefused, StoreUnavailable
from exporter.domain.node import NodeRecord, Tombstone
from exporter.domain.recordchecks import BadRecord, RecordFault, fault_of
from exporter.domain.text import shown
from exporter.domain.transition import Transition
from exporter.redislink.connecting import connect
from exporter.redislink.errors import REDIS_ERRORS, explain
from exporter.redislink.url import RedisUrl
from exporter.stores import rediscodec as codec
from exporter.stores.base import Batch, DatasetLost, LastHeartbeat, Mark, OnRejected, Recent, Saved, Snapshot, overlook
from exporter.stores.redisscripts import PERSISTENCE, PRUNE, SAVE, STATE, TYPES, UPGRADE
from exporter.stores.rules import (
    KEEP_MARKS,
    KEEP_TOMBSTONES,
    MAX_TOMBSTONES,
    newest_first,
    registration_order,
    stored_node,
)

ANSWER_SECONDS = 1.6
"""For one question, connecting included."""
LISTEN_MILLISECONDS = 400
"""How long `changes` waits at a time: well within the time that an answer may take."""
MAX_UNCONFIRMED = 1_000
"""More than fail one after the other while a connection may still deliver the first."""
READ_CHANGES = 10
"""So many entries of the stream at a time; each may be as large as a part of a batch."""
PROBE_MILLISECONDS = 60_000
"""How long what `probe` writes stays."""
MAX_ASIDE = 10_000
"""So many values that cannot be used are kept."""
MARK_AHEAD = 24 * HOUR
"""A mark from further ahead is nobody's: it would make all nodes look as old as that."""
FORMAT = "2"
"""Of all that we write; the first part of the dataset's id. Format 1 is upgraded."""
Value = TypeVar("Value")
_log = logging.getLogger("aurora.store")


class _Unusable(StoreUnavailable):
    """What is there is not ours, or cannot be read: a registry that starts refuses it."""


class RedisStore:
    """Hashes by node name, a list of transitions a node, and a stream of what is new for other registries.

    Of a large batch, each part (1,000 nodes at most) is applied whole or not at all; to save it again completes it.
    Redis keeps what it acknowledged as well as its own settings say (`appendonly`, replicas); what a restart or a
    failover may have lost is noticed by the next `save`, which raises DatasetLost.
    """

    shared = True

    def __init__(self, url: RedisUrl, instance: str = "") -> None:
        """`instance`: this registry's identity, the same after a restart."""
        self.url = url
        self.instance = instance or secrets.token_hex(4)
        self.on_rejected: OnRejected = overlook
        self.durable: bool | None = None
        self._origin = secrets.token_hex(8)
        self._saves = 0
        self._unconfirmed: deque[int] = deque(maxlen=MAX_UNCONFIRMED)
        """Saves whose answer we did not get: Redis may apply them long after, then we read them as others'."""
        self._client = connect(url)
        self._save = self._client.register_script(SAVE)
        self._state = self._client.register_script(STATE)
        self._prune = self._client.register_script(PRUNE)
        self._types = self._client.register_script(TYPES)
        self._upgrade = self._client.register_script(UPGRADE)
        self._persistence = self._client.register_script(PERSISTENCE)
        self._known: codec.State | None = None
        """What stood in Redis when it was last loaded."""

    async def open(self) -> None:
        """See whose data is there, and warn where Redis is set to drop some of it."""
        with _refusing():
            state = await self._adopt()
        if state.max_memory and state.policy not in {"", "noeviction"}:
            _log.warning(
                "Redis at %s drops data when its memory is full (maxmemory-policy %s), nodes among it: set noeviction",
                self.url.safe,
                state.policy,
            )

    async def load(self) -> Snapshot:
        """Everything, in parts, so that neither Redis nor we are held up; what is written meanwhile, `changes` has."""
        with _refusing():
            known = await self._adopt()
            await self._look_at_persistence()
            mark = await self._load_marks(known.time_ns)
            tombstones = await self._load_hash(codec.TOMBSTONES, codec.read_tombstone)
            await self._expire_tombstones(tombstones, known.time_ns - KEEP_TOMBSTONES)
            await self._index_tombstones(tombstones)
            recorded = await self._load_hash(codec.RECORDED, codec.read_recorded)
            heartbeats = await self._load_hash(codec.HEARD, codec.read_heard)
            records = await self._load_hash(codec.NODES, codec.read_record)
            self._check_same(await self._ask_state(), known)
        # In a thread, since a hundred thousand nodes would hold up the event loop.
        snapshot = await asyncio.to_thread(_snapshot, records, tombstones, heartbeats, recorded, mark)
        if self._known is not None and (self._known.dataset, self._known.run) != (known.dataset, known.run):
            snapshot = replace(snapshot, lost=True)
        # Only now: until the caller knows what is there, `save` must go on saying that it was lost.
        self._known = known
        return snapshot

    async def save(self, batch: Batch) -> Saved:
        """Apply the batch, and publish it to the other registries."""
        known = self._loaded()
        saved = Saved()
        for part in codec.parts(batch):
            keys, arguments = codec.write_part(part)
            self._saves += 1
            who = (known.dataset, known.run, f"{self._origin}:{self._saves}", self.instance)
            try:
                async with self._asking():
                    answer = await self._save(keys, [*who, *arguments])
                    codec.read_saved(answer, part, saved)
            except BaseException:
                self._unconfirmed.append(self._saves)
                raise
        return saved

    async def probe(self) -> None:
        """Write something small: reading may go on for long where writing is refused."""
        async with self._asking():
            await self._client.set(codec.PROBE, self._origin, px=PROBE_MILLISECONDS)

    async def _look_at_persistence(self) -> None:
        """Whether what is acknowledged outlives a crash of Redis; said once for each answer."""
        async with self._asking():
            aof = (await self._persistence([codec.DATASET])).decode(errors="replace") == "1"
        dumps = ""
        with contextlib.suppress(StoreUnavailable):  # Many a host does not let its users ask.
            async with self._asking():
                answer = await self._client.execute_command("CONFIG", "GET", "save")
                found = answer.items() if isinstance(answer, dict) else zip(answer[::2], answer[1::2], strict=True)
                dumps = next((bytes(value).decode() for _, value in found), "")
        if self.durable is not aof and not aof:
            how = f"dumps only ({dumps})" if dumps else "no persistence"
            _log.warning(
                "Redis at %s keeps its data in memory, with %s: what it acknowledged is lost when it restarts. "
                "Set appendonly yes, or accept that registrations come back from memory and from the nodes",
                self.url.safe,
                how,
            )
        self.durable = aof

    async def transitions(self, name: str, limit: int) -> list[Transition]:
        """Newest first."""
        async with self._asking():
            items = await self._client.zrevrange(codec.history(name), 0, limit - 1) if limit else []
        return [*self._readable(codec.history(name), codec.read_transition, [(name, item) for item in items])]

    async def recent(self, since_ns: int, limit: int) -> Recent:
        """Of the latest 10,000 transitions of all nodes, and of as many tombstones as are asked for."""
        if not limit:
            return Recent([], [])
        async with self._asking():
            items = await self._client.zrevrange(codec.RECENT, 0, limit - 1)
        async with self._asking():
            members: Any = await self._client.zrevrange(codec.DEPARTURES, 0, limit - 1)
        names = [codec.departed(member) for member in members]
        values: list[Any] = []
        if names:
            async with self._asking():
                values = await self._client.hmget(codec.TOMBSTONES, names)

        def read() -> Recent:
            transitions = self._readable(codec.RECENT, codec.read_recent, [("", item) for item in items])
            found = [(name.decode(errors="replace"), value) for name, value in zip(names, values, strict=True) if value]
            tombstones = self._readable(codec.TOMBSTONES, codec.read_tombstone, found)
            return newest_first(
                (transition for transition in transitions if transition.at_ns >= since_ns),
                (tombstone for tombstone in tombstones if tombstone.at_ns >= since_ns),
                limit,
            )

        # In a thread, since ten thousand of each would hold up the event loop.
        return await asyncio.to_thread(read)

    async def changes(self) -> AsyncIterator[Batch]:
        """What other registries saved since the last load; heartbeats over the bus excepted, which all receive."""
        known = self._loaded()
        position = known.last_change
        unfinished: Batch | None = None
        while True:
            async with self._asking():
                answer = await self._client.xread(
                    {codec.CHANGES: f"{position}-0"}, count=READ_CHANGES, block=LISTEN_MILLISECONDS
                )
                entries = [(int(key.partition(b"-")[0]), dict(fields)) for key, fields in _entries(answer)]
            for number, fields in entries:
                if number != position + 1:
                    raise StoreUnavailable(f"Redis at {self.url.safe}: changes were missed, since we were slow: reload")
                position = number
                if self._is_ours(fields.get(b"o", b"")):
                    continue
                batch = codec.read_change(fields, self._reject_change)
                if unfinished is not None:
                    codec.extend(unfinished, batch)
                    batch = unfinished
                unfinished = batch if b"more" in fields else None
                if unfinished is None:
                    yield batch
            if not answer:
                state = await self._ask_state()
                self._check_same(state, known)
                if state.last_change < position:
                    raise self._lost()

    def _is_ours(self, origin: bytes) -> bool:
        """Whether we know all that the entry says, since it is of a save that was answered."""
        name, _, number = origin.decode(errors="replace").partition(":")
        return name == self._origin and number.isdecimal() and int(number) not in self._unconfirmed

    async def time_ns(self) -> int:
        """Redis's own clock, in nanoseconds since the epoch: what all registries on this store agree on.

        In a cluster, that of the node that holds our data.
        """
        return (await self._ask_state()).time_ns

    async def close(self) -> None:
        """Write for the other registries that we stopped in good order, and close all connections."""
        if self._known is not None:
            known, self._known = self._known, None
            with contextlib.suppress(StoreUnavailable):
                state = await self._ask_state()
                if (state.dataset, state.run) == (known.dataset, known.run):
                    async with self._asking():
                        await self._client.hset(codec.PEERS, self.instance, 0)
        await self._client.aclose()

    def _loaded(self) -> codec.State:
        if self._known is None:
            raise StoreUnavailable(f"Redis at {self.url.safe}: nothing was loaded from it yet")
        return self._known

    async def _adopt(self) -> codec.State:
        """Whose data is there, in a format of ours; an empty Redis gets a dataset id."""
        await self._check_types()
        state = await self._ask_state()
        if not state.dataset:
            async with self._asking():
                await self._client.set(codec.DATASET, f"{FORMAT}:{secrets.token_hex(8)}", nx=True)
            state = await self._ask_state()
        version = state.dataset.partition(":")[0]
        if version == "1":
            await self._upgrade_from_1(state.dataset)
            return await self._adopt()
        if version != FORMAT:
            raise _Unusable(
                f"Redis at {self.url.safe} cannot be used: its format is {version!r}, and this version of the registry "
                f"knows {FORMAT!r}: install the version that wrote it again, or name another database"
            )
        return state

    async def _upgrade_from_1(self, dataset: str) -> None:
        """Two registries may do so at once. Those of the older version are refused from then on, and say so."""
        names: list[str] = []
        for key in (codec.RECORDED, codec.HEARD):
            async with self._asking():
                found: Any = await self._client.hkeys(key)
            names += [name.decode(errors="replace") for name in found]
        for start in range(0, len(names), codec.PART):
            part = names[start : start + codec.PART]
            histories = [key for name in part for key in (codec.history_of_format_1(name), codec.history(name))]
            async with self._asking():
                await self._upgrade([codec.RECORDED, codec.HEARD, *histories], part)
        async with self._asking():
            await self._client.set(codec.DATASET, f"{FORMAT}:{dataset.partition(':')[2]}")
        _log.info("the store was upgraded", extra={"redis": self.url.safe, "format": FORMAT})

    async def _ask_state(self) -> codec.State:
        async with self._asking():
            return codec.read_state(await self._state([codec.DATASET, codec.CHANGES]))

    def _check_same(self, state: codec.State, known: codec.State) -> None:
        if (state.dataset, state.run) != (known.dataset, known.run):
            raise self._lost()

    def _lost(self) -> DatasetLost:
        return DatasetLost(
            f"Redis at {self.url.safe} restarted, failed over or was emptied: what it may have lost is saved again"
        )

    async def _check_types(self) -> None:
        """Set aside the keys of ours that hold something else; without dataset and nodes, nothing can be known."""
        keys = list(codec.TYPES)
        async with self._asking():
            wrong = [keys[index] for index in await self._types(keys, list(codec.TYPES.values()))]
        for key in wrong:
            if key in {codec.DATASET, codec.NODES}:
                raise _Unusable(
                    f"Redis at {self.url.safe} cannot be used: another application has keys under {codec.PREFIX}, "
                    f"{key} is no {codec.TYPES[key]}: name another database"
                )
            self.on_rejected(key, RecordFault.KEY_TYPE, f"expected a {codec.TYPES[key]}; it was renamed")

    async def _load_hash(self, key: str, read: Callable[[str, bytes], Value]) -> dict[str, Value]:
        """The hash's values by name; what cannot be read is set aside."""
        values: dict[str, Value] = {}
        cursor = 0
        while True:
            found: Any
            async with self._asking():
                cursor, found = await self._client.hscan(key, cursor, count=codec.SCAN)
                values_found = list(found.items())
            bad: dict[bytes, bytes] = {}
            for field, value in values_found:
                try:
                    name = field.decode()
                    values[name] = read(name, value)
                except (msgspec.MsgspecError, ValueError) as error:
                    self.on_rejected(f"{shown(field)} in {key}", fault_of(error), str(error))
                    bad[field] = value
            if bad:
                await self._set_aside(key, bad)
            if not cursor:
                return values

    async def _set_aside(self, key: str, values: dict[bytes, bytes]) -> None:
        """Keep a copy of what cannot be used, since its node may register again and take its place."""
        prefix = key.removeprefix(codec.PREFIX).encode() + b":"
        with contextlib.suppress(StoreUnavailable):
            async with self._asking():
                if await self._client.hlen(codec.ASIDE) < MAX_ASIDE:
                    await self._client.hset(
                        codec.ASIDE, mapping={prefix + field: value for field, value in values.items()}
                    )

    async def _load_marks(self, now_ns: int) -> Mark | None:
        """The freshest mark; those of registries that are long gone are removed."""

        def read(instance: str, value: bytes) -> Mark:
            mark = codec.read_mark(instance, value)
            if mark.alive_ns > now_ns + MARK_AHEAD:
                raise BadRecord(RecordFault.TIME, "it is of a time that Redis' own clock has not come to")
            return mark

        marks = await self._load_hash(codec.MARKS, read)
        old = [instance for instance, mark in marks.items() if mark.alive_ns < now_ns - KEEP_MARKS]
        if old:
            async with self._asking():
                await self._client.hdel(codec.MARKS, *old)
            async with self._asking():
                await self._client.hdel(codec.PEERS, *old)
        return max(marks.values(), key=lambda mark: mark.alive_ns, default=None)

    async def _expire_tombstones(self, tombstones: dict[str, Tombstone], before_ns: int) -> None:
        """Remove old tombstones, and those that are too many, with their nodes' history, in place and in Redis."""
        newest = nlargest(MAX_TOMBSTONES, (tombstone.revision_ns for tombstone in tombstones.values()))
        if len(newest) == MAX_TOMBSTONES:
            before_ns = max(before_ns, newest[-1])
        old = [name for name, tombstone in tombstones.items() if tombstone.revision_ns < before_ns]
        for start in range(0, len(old), codec.PART):
            names = old[start : start + codec.PART]
            keys = [codec.TOMBSTONES, codec.RECORDED, codec.DEPARTURES, *map(codec.history, names)]
            async with self._asking():
                await self._prune(keys, [b"%020d" % before_ns, *names])
        for name in old:
            del tombstones[name]

    async def _index_tombstones(self, tombstones: dict[str, Tombstone]) -> None:
        """Bring into order what a registry of an earlier build, which knew no such order, wrote."""
        async with self._asking():
            if await self._client.zcard(codec.DEPARTURES) >= len(tombstones):
                return
        members = [codec.departure(tombstone) for tombstone in tombstones.values()]
        for start in range(0, len(members), codec.PART):
            async with self._asking():
                await self._client.zadd(codec.DEPARTURES, dict.fromkeys(members[start : start + codec.PART], 0))

    def _reject_change(self, kind: bytes, error: Exception) -> None:
        self.on_rejected(f"{shown(kind)} in {codec.CHANGES}", fault_of(error), str(error))

    def _readable(
        self, where: str, read: Callable[[str, Any], Value], items: Iterable[tuple[str, Any]]
    ) -> Iterator[Value]:
        for name, item in items:
            try:
                yield read(name, item)
            except (msgspec.MsgspecError, ValueError) as error:
                self.on_rejected(where, fault_of(error), str(error))

    @contextlib.asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        """Ask one question: it is answered in time, or StoreUnavailable says why not."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                yield
        except REDIS_ERRORS as error:
            if isinstance(error, ResponseError) and "DATASETLOST" in str(error):
                raise self._lost() from None
            if isinstance(error, ResponseError) and "WRONGTYPE" in str(error):
                raise _Unusable(
                    f"Redis at {self.url.safe} cannot be used: another application has keys under {codec.PREFIX}: "
                    "name another database"
                ) from None
            # The cause is left out: redis-py's own texts and attributes may name what must not be logged.
            raise StoreUnavailable(explain(error, self.url)) from None


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except _Unusable as error:
        raise StoreRefused(str(error)) from error


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
    return Snapshot(sorted(nodes, key=registration_order), list(tombstones.values()), mark)


def _entries(answer: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """The entries of the one stream that was read."""
    return answer[0][1] if answer else []
