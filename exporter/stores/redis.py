"""The store in a Redis, which several registries may share: one server, one behind Sentinels, or a cluster."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections import deque
from collections.abc import AsyncIterator, Collection, Iterator
from dataclasses import replace
from typing import Any

from exporter.domain.errors import StoreRefused, StoreUnavailable
from exporter.domain.recordchecks import fault_of
from exporter.domain.text import shown
from exporter.domain.transition import Transition
from exporter.redislink.url import RedisUrl
from exporter.stores import rediscodec as codec
from exporter.stores.base import Batch, OnRejected, Recent, Saved, Snapshot
from exporter.stores.redisdata import RedisData, UnusableStore
from exporter.stores.redisscripts import PERSISTENCE, SAVE
from exporter.stores.rules import MAX_TRANSITIONS, newest_first

LISTEN_MILLISECONDS = 400
"""How long `changes` waits at a time: well within the time that an answer may take."""
MAX_UNCONFIRMED = 1_000
"""More than fail one after the other while a connection may still deliver the first."""
READ_CHANGES = 10
"""So many entries of the stream at a time; each may be as large as a part of a batch."""
PROBE_MILLISECONDS = 60_000
"""How long what `probe` writes stays."""
_log = logging.getLogger("aurora.store")


class RedisStore:
    """Hashes by node name, a list of transitions a node, and a stream of what is new for other registries.

    Of a large batch, each part (500 nodes at most) is applied whole or not at all; to save it again completes it.
    Redis keeps what it acknowledged as well as its own settings say (`appendonly`, replicas); what a restart or a
    failover may have lost is noticed by the next `save`, which raises DatasetLost.
    """

    shared = True

    def __init__(self, url: RedisUrl, instance: str = "") -> None:
        """`instance`: this registry's identity, the same after a restart."""
        self.url = url
        self.instance = instance or secrets.token_hex(4)
        self.durable: bool | None = None
        self._origin = secrets.token_hex(8)
        self._saves = 0
        self._unconfirmed: deque[int] = deque(maxlen=MAX_UNCONFIRMED)
        """Saves whose answer we did not get: Redis may apply them long after, then we read them as others'."""
        self._data = RedisData(url)
        self._client = self._data.client
        self._save = self._client.register_script(SAVE)
        self._persistence = self._client.register_script(PERSISTENCE)
        self._known: codec.RedisState | None = None
        """What stood in Redis when it was last loaded."""
        self.changes_taken = 0

    @property
    def on_rejected(self) -> OnRejected:
        """Called with each value that is set aside."""
        return self._data.on_rejected

    @on_rejected.setter
    def on_rejected(self, called: OnRejected) -> None:
        self._data.on_rejected = called

    async def open(self) -> None:
        """See whose data is there, and warn where Redis is set to drop some of it."""
        with _refusing():
            state = await self._data.adopt()
        if state.max_memory and state.policy not in {"", "noeviction"}:
            _log.warning(
                "Redis at %s drops data when its memory is full (maxmemory-policy %s), nodes among it: set noeviction",
                self.url.safe,
                state.policy,
            )

    async def load(self) -> Snapshot:
        """Everything; what is written meanwhile, `changes` has."""
        with _refusing():
            known = await self._data.adopt()
            await self._look_at_persistence()
            snapshot = await self._data.load(known)
        if self._known is not None and (self._known.dataset, self._known.run) != (known.dataset, known.run):
            snapshot = replace(snapshot, lost=True)
        # Only now: until the caller knows what is there, `save` must go on saying that it was lost.
        self._known = known
        self.changes_taken = known.last_change
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
                async with self._data.asking():
                    answer = await self._save(keys, [*who, *arguments])
                    codec.read_saved(answer, part, saved)
                if self.changes_taken >= saved.changes_before:
                    self.changes_taken = max(self.changes_taken, saved.changes_after)
            except BaseException:
                self._unconfirmed.append(self._saves)
                raise
        return saved

    async def probe(self) -> None:
        """Write something small, and look for changes: either may be refused for long while all else works."""
        async with self._data.asking():
            await self._client.set(codec.PROBE, self._origin, px=PROBE_MILLISECONDS)
        with contextlib.suppress(UnusableStore):  # The next load puts right what stands there.
            async with self._data.asking():
                await self._client.xread({codec.CHANGES: "$"}, count=1)

    async def _look_at_persistence(self) -> None:
        """Whether what is acknowledged outlives a crash of Redis; said once for each answer."""
        async with self._data.asking():
            aof = (await self._persistence([codec.DATASET])).decode(errors="replace") == "1"
        dumps = ""
        with contextlib.suppress(StoreUnavailable):  # Many a host does not let its users ask.
            async with self._data.asking():
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

    async def agreed(self) -> None:
        """Nothing to do."""

    async def transitions(self, name: str, limit: int) -> list[Transition]:
        """Newest first."""
        async with self._data.asking():
            last = min(limit, MAX_TRANSITIONS) - 1
            items = await self._client.zrevrange(codec.history(name), 0, last) if limit else []
        return [*self._data.readable(codec.history(name), codec.read_transition, [(name, item) for item in items])]

    async def recent(self, since_ns: int, limit: int) -> Recent:
        """Of the latest 10,000 transitions of all nodes, and of as many tombstones as are asked for."""
        if not limit:
            return Recent([], [])
        async with self._data.asking():
            items = await self._client.zrevrange(codec.RECENT, 0, limit - 1)
        async with self._data.asking():
            members: Any = await self._client.zrevrange(codec.DEPARTURES, 0, limit - 1)
        names = [codec.departed(member) for member in members]
        values: list[Any] = []
        if names:
            async with self._data.asking():
                values = await self._client.hmget(codec.TOMBSTONES, names)

        def read() -> Recent:
            transitions = self._data.readable(codec.RECENT, codec.read_recent, [("", item) for item in items])
            found = [(name.decode(errors="replace"), value) for name, value in zip(names, values, strict=True) if value]
            tombstones = self._data.readable(codec.TOMBSTONES, codec.read_tombstone, found)
            return newest_first(
                (transition for transition in transitions if transition.at_ns >= since_ns),
                (tombstone for tombstone in tombstones if tombstone.at_ns >= since_ns),
                limit,
            )

        # In a thread, since ten thousand of each would hold up the event loop.
        return await asyncio.to_thread(read)

    async def by_others(self, names: Collection[str]) -> Batch:
        """What cannot be read is left out."""
        known, fields = self._loaded(), [*names]
        self._data.check_same(await self._data.state(), known)
        async with self._data.asking():
            records: Any = await self._client.hmget(codec.NODES, fields)
        async with self._data.asking():
            heard: Any = await self._client.hmget(codec.HEARD, fields)
        batch = Batch()
        found = [each for each in zip(fields, records, strict=True) if each[1]]
        for record in self._data.readable(codec.NODES, codec.read_record, found):
            batch.records[record.name] = record
        for name, value in zip(fields, heard, strict=True):
            for heartbeat in self._data.readable(codec.HEARD, codec.read_heard, [(name, value)] if value else []):
                batch.heartbeats[name] = heartbeat
        return batch

    async def changes(self) -> AsyncIterator[Batch]:
        """What other registries saved since the last load; heartbeats over the bus excepted, which all receive."""
        known = self._loaded()
        position = known.last_change
        unfinished: Batch | None = None
        while True:
            await self._data.check_master()
            async with self._data.asking():
                answer = await self._client.xread(
                    {codec.CHANGES: f"{position}-0"}, count=READ_CHANGES, block=LISTEN_MILLISECONDS
                )
                entries = [(int(key.partition(b"-")[0]), dict(fields)) for key, fields in _entries(answer)]
            for number, fields in entries:
                if number != position + 1 and (position or b"first" not in fields):
                    raise StoreUnavailable(f"Redis at {self.url.safe}: changes were missed, since we were slow: reload")
                position = number
                if self._is_ours(fields.get(b"o", b"")):
                    self._take_up_to(number)
                    continue
                batch = codec.read_change(fields, self._reject_change)
                if unfinished is not None:
                    codec.extend(unfinished, batch)
                    batch = unfinished
                unfinished = batch if b"more" in fields else None
                if unfinished is None:
                    yield batch
                    self._take_up_to(number)
            if not answer:
                state = await self._data.state()
                self._data.check_same(state, known)
                if state.last_change < position:
                    raise self._data.lost()

    def _take_up_to(self, number: int) -> None:
        self.changes_taken = max(self.changes_taken, number)

    def _is_ours(self, origin: bytes) -> bool:
        """Whether we know all that the entry says, since it is of a save that was answered."""
        name, _, number = origin.decode(errors="replace").partition(":")
        return name == self._origin and number.isdecimal() and int(number) not in self._unconfirmed

    async def time_ns(self) -> int:
        """Redis's own clock, in nanoseconds since the epoch: what all registries on this store agree on.

        In a cluster, that of the node that holds our data.
        """
        return (await self._data.state()).time_ns

    async def close(self) -> None:
        """Write for the other registries that we stopped in good order, and close all connections."""
        if self._known is not None:
            known, self._known = self._known, None
            with contextlib.suppress(StoreUnavailable):
                state = await self._data.state()
                if (state.dataset, state.run) == (known.dataset, known.run):
                    async with self._data.asking():
                        await self._client.hset(codec.PEERS, self.instance, 0)
        await self._client.aclose()

    def _loaded(self) -> codec.RedisState:
        if self._known is None:
            raise StoreUnavailable(f"Redis at {self.url.safe}: nothing was loaded from it yet")
        return self._known

    def _reject_change(self, kind: bytes, error: Exception) -> None:
        self.on_rejected(f"{shown(kind)} in {codec.CHANGES}", fault_of(error), str(error))


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except UnusableStore as error:
        raise StoreRefused(str(error)) from error


def _entries(answer: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """The entries of the one stream that was read."""
    return answer[0][1] if answer else []
