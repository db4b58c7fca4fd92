"""What registries on one store share: its clock, mesh time, and the proof that each of them receives."""

from __future__ import annotations

from collections import deque

from exporter.domain.clock import SECOND
from exporter.domain.node import Node
from exporter.domain.reception import Source
from exporter.domain.status import Transport
from exporter.nodemap.nodemap import NodeMap
from exporter.nodemap.paths import NEVER
from exporter.nodemap.shares import Share
from exporter.stores.base import Saved, Store
from exporter.wiring.clock import SystemClock

READ_TIME_EVERY = 10 * SECOND
MAX_UNPROVEN = 1_000
"""Saves, some minutes of them."""


class Sharing:
    """Does nothing for a store that is ours alone."""

    def __init__(self, store: Store, clock: SystemClock, source: Source | None) -> None:
        """`source`: the proof that a shared store can be reached."""
        self._store = store
        self._clock = clock
        self._source = source
        self._time_read_ns = 0
        self._saved = Saved()
        self._unproven: deque[tuple[int, int, list[Source]]] = deque(maxlen=MAX_UNPROVEN)
        """Up to which change all must be known, so that these sources worked until when."""

    async def read_time(self, *, at_once: bool = False) -> None:
        """Take over the store's wall clock, now and then."""
        now_ns = self._clock.monotonic_ns()
        if self._store.shared and (at_once or now_ns >= self._time_read_ns + READ_TIME_EVERY):
            self._clock.follow(await self._store.time_ns())
            self._time_read_ns = now_ns

    def lost(self, node_map: NodeMap | None) -> None:
        """The store failed: others may receive what we do not know, and who else writes is not known either."""
        self._unproven.clear()
        if self._source is not None:
            self._source.mark_down()
        if node_map is not None:
            node_map.pending.divide(Share())

    def saved(self, node_map: NodeMap, saved: Saved, asked_ns: int) -> None:
        """Who else writes to the store: our lease began when we asked, theirs is seen now."""
        if not self._store.shared:
            return
        self._saved = saved
        now_ns = self._clock.monotonic_ns()
        node_map.mesh_time.advance(now_ns, saved.mesh_ns)
        writes = {name: count for name, count in saved.peers.items() if name != self._store.instance}
        self._unproven.append((saved.changes_before, now_ns, node_map.peers.observe(now_ns, writes)))
        others = node_map.peers.alive(now_ns)
        node_map.pending.divide(Share(self._store.instance, others))
        path = node_map.paths[Transport.HTTP]
        path.lease_until_ns = asked_ns + node_map.peers.lease_ns if others else NEVER
        path.newcomers_until_ns = asked_ns + node_map.thresholds.newcomers if others else NEVER
        self._prove(node_map)

    def came(self, node_map: NodeMap, written: set[Node]) -> set[Node]:
        """Of the nodes whose last heartbeats are about to be written, those that came another way before."""
        return node_map.paths[Transport.HTTP].newcomers & written

    def took(self, node_map: NodeMap, came: set[Node]) -> None:
        """These were written: the others know that they come to us, or will read it."""
        newcomers = node_map.paths[Transport.HTTP].newcomers
        newcomers -= came
        newcomers &= node_map.pending.heartbeats_over_http

    def reached(self, node_map: NodeMap, asked_ns: int) -> None:
        """The store answered what was asked then: what other registries received before, we know or will read."""
        if self._source is not None:
            self._unproven.append((self._saved.changes_before, asked_ns, [self._source]))
            self._prove(node_map)

    def followed(self, node_map: NodeMap) -> None:
        """Some of what others saved was taken in."""
        if self._source is not None:
            now_ns, gap_ns = self._clock.monotonic_ns(), node_map.thresholds.gap
            self._source.mark_heard(now_ns, gap_ns)
            node_map.peers.mark_heard(now_ns, gap_ns)

    def _prove(self, node_map: NodeMap) -> None:
        """A save proves something of others once all is known that they saved before it: much may wait to be read."""
        while self._unproven and self._unproven[0][0] <= self._store.changes_taken:
            _, moment_ns, sources = self._unproven.popleft()
            was_lost = any(source.lost for source in sources)
            for source in sources:
                source.mark_alive(moment_ns)
            node_map.take_proofs()
            if was_lost:
                node_map.tick()
