"""One writer that keeps the node map and its store consistent."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from exporter.domain.clock import SECOND
from exporter.domain.command import Command, Register
from exporter.domain.durable import Batch, Recent
from exporter.domain.errors import AuroraError, StillLoading, StoreRefused, StoreUnavailable, UnknownNode
from exporter.domain.node import Node, Tombstone
from exporter.domain.reception import Source
from exporter.domain.recordchecks import RecordFault
from exporter.domain.transition import Transition
from exporter.exposition.yielder import Yielder
from exporter.nodemap import merging
from exporter.nodemap.nodemap import NodeMap
from exporter.nodemap.planning import PlannedWrite
from exporter.nodemap.room import Growth
from exporter.nodemap.shares import Share
from exporter.process.tasks import end_tasks
from exporter.stores.base import DatasetLost, Saved, Store, Unconfirmed
from exporter.telemetry.metrics import Telemetry
from exporter.telemetry.ratelimit import RateLimitedLogger
from exporter.wiring import agreement
from exporter.wiring.clock import SystemClock
from exporter.wiring.commandqueue import CommandQueue, answer, refuse
from exporter.wiring.sharing import Sharing
from exporter.wiring.storehealth import StoreHealth
from exporter.wiring.unsaved import merge_unsaved

log = logging.getLogger("aurora.store")

MAX_BEHIND = 1000
"""Changes of each kind that are written together: some ten milliseconds of work. More are written right after."""
MARK_EVERY = 5 * SECOND


class StoreWriter:
    """Loads the map, makes commands durable before they count, and writes behind what may wait a second.

    While the store is down, commands are refused at once and everything else is kept in memory; when it is back, the
    two are merged: the later word on each node stands.
    """

    def __init__(
        self,
        store: Store,
        clock: SystemClock,
        new_map: Callable[[], NodeMap],
        *,
        source: Source | None,
        announce: Callable[[Batch, Saved], None],
        telemetry: Telemetry,
    ) -> None:
        """`source`: the proof that a shared store is available. `announce`: gets what a batch was first to write."""
        self._store = store
        self._warnings = RateLimitedLogger(log, clock)
        store.on_rejected = self._reject
        self._clock = clock
        self._new_map = new_map
        self._announce = announce
        self._telemetry = telemetry
        self._health = StoreHealth(telemetry)
        self._sharing = Sharing(store, clock, source)
        self._map: NodeMap | None = None
        self._wake = asyncio.Event()
        self._commands = CommandQueue(self._wake.set)
        self._due_ns = 0
        self._marked_ns = 0
        self._in_flight = 0
        """Changes that the store was asked to take, and did not answer yet."""
        self._unreadable: set[str] = set()
        """Nodes whose record in the store cannot be read: the next command writes over it."""
        self._following: asyncio.Task[None] | None = None
        self._out_of_line = True
        """The store may know what we do not: read it before the next write."""
        telemetry.watch_store(lambda: self._in_flight + (self._map.pending.count if self._map is not None else 0))

    @property
    def store_up(self) -> bool:
        """The store took the last write."""
        return self._health.up

    @property
    def node_map(self) -> NodeMap:
        """The node map; raises StillLoading until the store was read."""
        if self._map is None:
            raise StillLoading
        return self._map

    @property
    def loaded(self) -> bool:
        """Whether there is a node map."""
        return self._map is not None

    async def submit(self, command: Command) -> Node | None:
        """Make the command durable and apply it; raises StoreUnavailable, and what the command itself may raise."""
        try:
            self.node_map.plan(command)
        except UnknownNode:
            # Another registry may know the node: whether there is none, a shared store says.
            if not self._store.shared:
                raise
        if self._health.down:
            raise self._health.unavailable()
        # Just loaded, and neither written to nor found down: the first write is under way.
        try:
            return await self._commands.submit(command)
        except StoreUnavailable as error:
            raise (self._health.unavailable() if self._health.down else error) from None

    async def transitions(self, name: str, limit: int) -> list[Transition]:
        """A node's transitions, newest first, as they are recorded; while the store is down, those memory still has."""
        node_map = self.node_map
        try:
            return await self._store.transitions(name, limit)
        except StoreUnavailable:
            return [transition for transition in reversed(node_map.recent) if transition.node == name][:limit]

    async def recent(self, since_ns: int, limit: int) -> Recent:
        """What happened to any node since then, newest first; while the store is down, what memory still has."""
        node_map = self.node_map
        try:
            stored = await self._store.recent(since_ns, limit)
        except StoreUnavailable:
            stored = Recent()
        return merge_unsaved(stored, node_map, since_ns, limit)

    def hurry(self) -> None:
        """Write what waits now and not within a second: somebody waits for the answer."""
        self._due_ns = 0
        self._wake.set()

    # Its life

    async def run(self) -> None:
        """Serve until cancelled; raises StoreRefused for a store that must not be touched."""
        opened = False
        try:
            while True:
                try:
                    if not opened:
                        await self._store.open()
                        opened = True
                    if self._out_of_line:
                        if self._following is not None and self._following.done():
                            await self._health.pause()
                        await self._agree()
                        self._follow()
                    await self._turn()
                except (StoreUnavailable, StoreRefused) as error:
                    # Where memory is whole it goes on serving, and the store may be put right.
                    if isinstance(error, StoreRefused) and self._map is None:
                        raise
                    self._mark_down(error)
                    await self._health.pause()
        finally:
            if self._following is not None:
                await end_tasks([self._following])

    async def stop(self) -> None:
        """Write what is left, and close; call it once `run` has ended."""
        try:
            if self._map is not None and self._health.up:
                await self._write_commands()
                await self._write_all()
        except StoreUnavailable as error:
            log.error("the last changes were not written", extra={"reason": str(error)})  # noqa: TRY400 - no bug of ours
        finally:
            await self._store.close()

    async def _turn(self) -> None:
        pause_s = max(0, self._due_ns - self._clock.monotonic_ns()) / SECOND
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._wake.wait()
        self._wake.clear()
        while self._commands and not self._out_of_line:
            await self._write_commands()
        if self._clock.monotonic_ns() >= self._due_ns and not self._out_of_line:
            await self._write_behind()
            await self._sharing.read_time()

    # Outage and merge

    def _mark_down(self, error: StoreUnavailable | StoreRefused) -> None:
        self._sharing.lost(self._map)
        if self._store.shared or isinstance(error, (Unconfirmed, DatasetLost)):
            self._out_of_line = True
        self._health.mark_down(error)
        self._commands.refuse_all(self._health.unavailable())

    async def _agree(self) -> None:
        if self._map is None:
            node_map = await agreement.load(self._store, self._sharing, self._new_map)
            try:
                await self._store.probe()
            except StoreUnavailable as error:
                self._mark_down(error)  # What it has can be read all the same.
            else:
                self._health.mark_up()  # Before anybody sees the map: who is ready takes registrations.
            self._map = node_map
        else:
            if self._health.down:
                # Nothing is read again, nor is the store called up, until it takes writes again.
                await self._store.probe()
            await agreement.merge(self._store, self._sharing, self._map)
        self._out_of_line = False
        log.info("memory and store agree", extra={"nodes": len(self._map)})
        try:
            await self._write_all()
            await self._store.agreed()
        except StoreUnavailable:
            self._out_of_line = True
            raise

    def _follow(self) -> None:
        """Listen to the other registries, unless we do."""
        if self._following is not None:
            if not self._following.done():
                return
            self._following.result()  # What it raised is a mistake of ours.
        self._following = asyncio.create_task(self._follow_others())

    async def _follow_others(self) -> None:
        try:
            await agreement.follow(self._store, self._sharing, self.node_map)
        except StoreUnavailable as error:
            self._mark_down(error)
            self._wake.set()

    def _reject(self, where: str, reason: RecordFault, fault: str) -> None:
        self._telemetry.store_records_rejected[reason] += 1
        self._warnings.warn("a record of the store was set aside", f"{reason}", f"{where}: {fault}")

    # Writing

    async def _write_commands(self) -> None:
        planned: list[tuple[PlannedWrite, asyncio.Future[Node | None]]] = []
        ahead, taken = Growth(), self._commands.take()
        try:
            await self._look_up([command.name for command, _ in taken if not isinstance(command, Register)])
        except StoreUnavailable as error:
            for _, done in taken:
                refuse(done, error)
            raise
        yielder = Yielder()
        for command, done in taken:
            try:
                planned.append((self.node_map.plan(command, ahead), done))
            except AuroraError as error:
                refuse(done, error)
            await yielder.maybe_yield()
        if not planned:
            return
        results = [plan.result for plan, _ in planned]
        batch = Batch(
            records={result.name: result for result in results if not isinstance(result, Tombstone)},
            tombstones={result.name: result for result in results if isinstance(result, Tombstone)},
            heartbeats=merging.heartbeats_of(self.node_map, [plan for plan, _ in planned]),
            bases={plan.result.name: base_ns for plan, _ in planned if (base_ns := self._base_ns(plan)) is not None},
        )
        try:
            saved = await self._save(batch)
        except StoreUnavailable as error:
            for _, done in planned:
                refuse(done, error)
            raise
        for plan, done in planned:
            if plan.result.name not in saved.standing:
                self._unreadable.discard(plan.result.name)
                self._apply(plan, done)
            await yielder.maybe_yield()
        self._give_way(saved)
        self._commands.put_back([(plan.command, done) for plan, done in planned if plan.result.name in saved.standing])

    async def _look_up(self, names: list[str]) -> None:
        """Take over nodes that another registry registered, and that we have not read of yet."""
        unknown = [name for name in names if self.node_map.find(name) is None]
        if unknown:
            for _ in merging.adopt(self.node_map, await self._store.by_others(unknown)):
                pass

    def _base_ns(self, plan: PlannedWrite) -> int | None:
        return None if plan.result.name in self._unreadable else plan.base_ns

    def _apply(self, plan: PlannedWrite, done: asyncio.Future[Node | None]) -> None:
        try:
            node = self.node_map.commit(plan)
        except AuroraError as error:
            refuse(done, error)
        else:
            answer(done, node)

    async def _write_all(self) -> None:
        """The mark at least, and all that waits now, also what other registries may write."""
        pending = self.node_map.pending
        pending.divide(Share())
        await self._write_behind(mark=True)
        waiting = pending.count + len(pending.heartbeats) + len(pending.heartbeats_over_http)
        for _ in range(waiting // MAX_BEHIND + 2):
            if pending:
                await self._write_behind()

    async def _write_behind(self, *, mark: bool = False) -> None:
        node_map, now_ns = self.node_map, self._clock.monotonic_ns()
        warning_after_ns = node_map.thresholds.warning_after
        # A shared store proves that we receive: its proofs must come as often as transitions must be prompt.
        self._due_ns = now_ns + min(SECOND // 2 if self._store.shared else SECOND, warning_after_ns // 20)
        marked = now_ns - self._marked_ns < min(MARK_EVERY, warning_after_ns // 10) and not mark
        if marked and self._health.up and not self._store.shared and not node_map.pending:
            return
        taken = merging.take(node_map, MAX_BEHIND)
        if node_map.pending.in_haste:
            self.hurry()
        self._in_flight = taken.count
        came = self._sharing.came(node_map, taken.heartbeats)
        try:
            saved = await self._save(merging.batch_of(node_map, taken), taken.rewrites)
        except BaseException:
            node_map.pending.give_back(taken)
            raise
        finally:
            self._in_flight = 0
        self._marked_ns = now_ns
        self._sharing.took(node_map, came)
        self._give_way(saved)
        for name in saved.missing:
            if (node := node_map.find(name)) is not None:
                node_map.pending.keep(node.record, rewrite=True)
                node_map.pending.note_heartbeat(node)
        recorded = {id(transition) for transition in saved.transitions}
        for transition in taken.transitions:
            if id(transition) not in recorded:
                node_map.recent.drop(transition)
        self._sharing.reached(node_map, now_ns)

    def _give_way(self, saved: Saved) -> None:
        """Take over what other registries wrote before us."""
        node_map = self.node_map
        for name, standing in saved.standing.items():
            if standing is not None:
                merging.give_way(node_map, standing)
            else:
                self._unreadable.add(name)
            if (node := node_map.find(name)) is not None:
                node_map.pending.note_heartbeat(node)
                if standing is None:
                    node_map.pending.keep(node.record)

    async def _save(self, batch: Batch, rewrites: set[str] | None = None) -> Saved:
        """Save and announce; of nodes whose records are only `rewrites`, nothing is announced."""
        asked_ns = self._clock.monotonic_ns()
        saved = await self._store.save(batch)
        if rewrites:
            saved.records -= rewrites
            saved.tombstones -= rewrites
        self._health.mark_up()
        self._sharing.saved(self.node_map, saved, asked_ns)
        self._announce(batch, saved)
        return saved
