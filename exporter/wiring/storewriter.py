"""One writer that keeps the node map and its store consistent."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable

from exporter.domain.clock import SECOND
from exporter.domain.command import Command
from exporter.domain.durable import Batch, Recent
from exporter.domain.errors import AuroraError, StillLoading, StoreRefused, StoreUnavailable
from exporter.domain.node import Node, Tombstone
from exporter.domain.reception import Source
from exporter.domain.recordchecks import RecordFault
from exporter.domain.status import Transport
from exporter.domain.transition import Transition
from exporter.nodemap import merging
from exporter.nodemap.nodemap import NodeMap
from exporter.nodemap.paths import NEVER
from exporter.nodemap.planning import PlannedWrite
from exporter.nodemap.room import Growth
from exporter.process.tasks import end_tasks
from exporter.stores.base import Saved, Store
from exporter.telemetry.metrics import Telemetry
from exporter.telemetry.ratelimit import RateLimitedLogger
from exporter.wiring.clock import SystemClock
from exporter.wiring.unsaved import merge_unsaved

log = logging.getLogger("aurora.store")

TOO_LATE = "the store did not answer in time"
ANSWER_WITHIN = 1.8
"""Seconds after which a command that the store did not take is given up: every answer comes within two."""
RETRY_SECONDS = (0.5, 2.0)
"""A store that is down is asked again after so long; doubled each time up to the second, less a random half."""
MAX_BEHIND = 5000
"""Transitions, and heartbeats, that are written together; more are written right after."""
MAX_COMMANDS = 1000
"""Commands that become durable together."""
MARK_EVERY = 5 * SECOND
TELL_TIME_EVERY = 10 * SECOND

Submitted = tuple[Command, "asyncio.Future[Node | None]"]


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
        self.store_up = False
        self._store = store
        self._warnings = RateLimitedLogger(log, clock)
        store.on_rejected = self._reject
        self._clock = clock
        self._new_map = new_map
        self._source = source
        self._announce = announce
        self._telemetry = telemetry
        self._map: NodeMap | None = None
        self._submitted: list[Submitted] = []
        self._wake = asyncio.Event()
        self._due_ns = 0
        self._marked_ns = 0
        self._logged_time_ns = 0
        self._down_reason = ""
        """Why the store is down; empty while it is up."""
        self._logged: set[str] = set()
        """Why it was down since it was up; each is logged once."""
        self._retries = 0
        self._following: asyncio.Task[None] | None = None
        self._out_of_line = True
        """The store may know what we do not: read it before the next write."""

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
        self.node_map.plan(command)
        if not self.store_up and self._down_reason:
            raise self._unavailable()
        # Just loaded, and neither written to nor found down: the first write is under way.
        done: asyncio.Future[Node | None] = asyncio.get_running_loop().create_future()
        self._submitted.append((command, done))
        self._wake.set()
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                return await done
        except TimeoutError:
            raise self._unavailable() if self._down_reason else StoreUnavailable(TOO_LATE) from None

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
                        await self._agree()
                        await self._follow()
                    await self._turn()
                except StoreUnavailable as error:
                    self._lose(error)
                    await self._pause()
                except StoreRefused as error:
                    if self._map is None:
                        raise
                    # Memory is whole: it goes on serving, and the store may be put right.
                    self._lose(error)
                    await self._pause()
        finally:
            if self._following is not None:
                await end_tasks([self._following])

    async def _follow(self) -> None:
        """Listen to the other registries, unless we do."""
        if self._following is not None:
            if not self._following.done():
                return
            self._following.result()  # What it raised is a mistake of ours.
        self._following = asyncio.create_task(self._follow_others())

    async def stop(self) -> None:
        """Write what is left, and close; call it once `run` has ended."""
        try:
            if self._map is not None and self.store_up:
                await self._write_commands()
                await self._write_behind(whole=True)
        except StoreUnavailable as error:
            log.error("the last changes were not written", extra={"reason": str(error)})  # noqa: TRY400 - no bug of ours
        finally:
            await self._store.close()

    async def _pause(self) -> None:
        first, longest = RETRY_SECONDS
        pause_s = min(longest, first * 2 ** min(self._retries, 10))
        self._retries += 1
        await asyncio.sleep(pause_s * random.uniform(0.5, 1))  # noqa: S311 - jitter, no secret

    async def _agree(self) -> None:
        if self._map is not None and self._down_reason:
            # Nothing is read again, nor is the store called up, until it takes writes again.
            await self._store.probe()
        snapshot = await self._store.load()
        await self._tell_time()
        if self._map is None:
            node_map = self._new_map()
            merging.load(node_map, snapshot)
            node_map.room.warn_if_exceeded()
            try:
                await self._store.probe()
            except StoreUnavailable as error:
                self._lose(error)  # What it has can be read all the same.
            else:
                self._gain()  # Before anybody sees the map: who is ready takes registrations.
            self._map = node_map
            news = node_map.pending.names
        else:
            # Records written again are new to the store, but to nobody else.
            news = self._map.pending.names
            merging.merge(self._map, snapshot)
        self._out_of_line = False
        log.info("memory and store agree", extra={"nodes": len(self._map)})
        await self._write_behind(news, whole=True)

    async def _turn(self) -> None:
        pause_s = max(0, self._due_ns - self._clock.monotonic_ns()) / SECOND
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._wake.wait()
        self._wake.clear()
        while self._submitted and not self._out_of_line:
            await self._write_commands()
        if self._clock.monotonic_ns() >= self._due_ns and not self._out_of_line:
            await self._write_behind()
            if self._clock.monotonic_ns() >= self._logged_time_ns + TELL_TIME_EVERY:
                await self._tell_time()

    async def _tell_time(self) -> None:
        """Registries that share a store share its clock."""
        if self._store.shared:
            self._clock.follow(await self._store.time_ns())
        self._logged_time_ns = self._clock.monotonic_ns()

    async def _write_commands(self) -> None:
        taken = self._take_commands()
        planned: list[tuple[PlannedWrite, asyncio.Future[Node | None]]] = []
        ahead = Growth()
        for command, done in taken:
            try:
                planned.append((self.node_map.plan(command, ahead), done))
            except AuroraError as error:
                done.set_exception(error)
        results = [plan.result for plan, _ in planned]
        batch = Batch(
            records={result.name: result for result in results if not isinstance(result, Tombstone)},
            tombstones={result.name: result for result in results if isinstance(result, Tombstone)},
            heartbeats=merging.heartbeats_of(self.node_map, [plan for plan, _ in planned]),
        )
        try:
            if results:
                await self._save(batch)
        except StoreUnavailable as error:
            for _, done in planned:
                if not done.done():
                    done.set_exception(error)
            raise
        for plan, done in planned:
            self._apply(plan, done)

    def _take_commands(self) -> list[Submitted]:
        """Those whose callers still wait, of each node at most one: what comes next is planned upon its result."""
        taken: dict[str, Submitted] = {}
        left: list[Submitted] = []
        for command, done in self._submitted:
            if done.done():
                continue
            if command.name in taken or len(taken) == MAX_COMMANDS:
                left.append((command, done))
            else:
                taken[command.name] = command, done
        self._submitted = left
        return list(taken.values())

    def _apply(self, plan: PlannedWrite, done: asyncio.Future[Node | None]) -> None:
        try:
            node = self.node_map.commit(plan)
        except AuroraError as error:
            if not done.done():
                done.set_exception(error)
        else:
            if not done.done():
                done.set_result(node)

    async def _write_behind(self, news: frozenset[str] | None = None, *, whole: bool = False) -> None:
        node_map, now_ns = self.node_map, self._clock.monotonic_ns()
        warning_after_ns = node_map.thresholds.warning_after
        # A shared store is a source of reception: its proofs must come as often as transitions must be prompt.
        self._due_ns = now_ns + min(SECOND // 2 if self._store.shared else SECOND, warning_after_ns // 20)
        marked = now_ns - self._marked_ns < min(MARK_EVERY, warning_after_ns // 10)
        if marked and self.store_up and not self._store.shared and not node_map.pending:
            return
        taken = node_map.pending.take() if whole else node_map.pending.take_some(MAX_BEHIND)
        if node_map.pending.transitions or node_map.pending.heartbeats:
            self.hurry()
        try:
            saved = await self._save(merging.batch_of(node_map, taken), news)
        except BaseException:
            node_map.pending.give_back(taken)
            raise
        self._marked_ns = now_ns
        recorded = {id(transition) for transition in saved.transitions}
        for transition in taken.transitions:
            if id(transition) not in recorded:
                node_map.recent.drop(transition)
        self._prove(now_ns)

    def _prove(self, now_ns: int) -> None:
        """The store answered what was asked then: whatever other registries received before, we can know."""
        if self._source is not None:
            was_lost = self._source.lost
            self._source.mark_alive(now_ns)
            if was_lost:
                self.node_map.tick()

    async def _save(self, batch: Batch, news: frozenset[str] | None = None) -> Saved:
        """Save and announce; `news`: only these nodes' coming and going is any (None: all is)."""
        asked_ns = self._clock.monotonic_ns()
        saved = await self._store.save(batch)
        if news is not None:
            saved.records &= news
            saved.tombstones &= news
        self._gain()
        if self._map is not None and self._store.shared:
            self._note_peers(self._map, saved, asked_ns)
        self._announce(batch, saved)
        return saved

    def _note_peers(self, node_map: NodeMap, saved: Saved, asked_ns: int) -> None:
        """Who else writes to the store: our lease began when we asked, theirs is seen now."""
        now_ns = self._clock.monotonic_ns()
        node_map.mesh_time.advance(now_ns, saved.mesh_ns)
        node_map.peers.observe(now_ns, {name: n for name, n in saved.peers.items() if name != self._store.instance})
        shared = node_map.peers.any_alive(now_ns)
        node_map.paths[Transport.HTTP].lease_until_ns = asked_ns + node_map.peers.lease_ns if shared else NEVER

    async def _follow_others(self) -> None:
        try:
            async for batch in self._store.changes():
                merging.adopt(self.node_map, batch)
        except StoreUnavailable as error:
            self._lose(error)
            self._wake.set()

    def _reject(self, where: str, reason: RecordFault, fault: str) -> None:
        self._telemetry.store_records_rejected[reason] += 1
        self._warnings.warn("a record of the store was set aside", f"{reason}", f"{where}: {fault}")

    def _gain(self) -> None:
        if not self.store_up:
            self.store_up = True
            log.info("the store is up")
            self._logged.clear()
        self._down_reason = ""
        self._retries = 0

    def _lose(self, error: StoreUnavailable | StoreRefused) -> None:
        self._telemetry.store_writes_failed += 1
        if self._source is not None:
            self._source.mark_down()
        if self._store.shared:
            self._out_of_line = True
        self._down_reason = str(error)
        if self._down_reason not in self._logged:
            self._logged.add(self._down_reason)
            log.warning("the store is down", extra={"reason": self._down_reason})
        self.store_up = False
        submitted, self._submitted = self._submitted, []
        for _, done in submitted:
            if not done.done():
                done.set_exception(self._unavailable())

    def _unavailable(self) -> StoreUnavailable:
        """Why no change is taken now."""
        reason = f" ({self._down_reason})" if self._down_reason else ""
        return StoreUnavailable(f"the store is down{reason}, and the registry answers from memory")
