"""The state of the node map, and the single steps that change it."""

from __future__ import annotations

from collections import deque
from collections.abc import ValuesView

from exporter.domain.clock import Clock
from exporter.domain.errors import UnknownNode
from exporter.domain.heartbeat import Reason
from exporter.domain.lifecycle import IN_SERVICE, Lifecycle, Phase
from exporter.domain.node import Live, Node, NodeRecord, Removal, Tombstone
from exporter.domain.reception import Reception, Source
from exporter.domain.site import SiteRule
from exporter.domain.status import Status, Thresholds, Transport
from exporter.domain.transition import Transition
from exporter.nodemap.changes import Change, Listener
from exporter.nodemap.deadlines import Deadlines
from exporter.nodemap.disruption import RecentlyOffline
from exporter.nodemap.pending import PendingChanges
from exporter.nodemap.queues import Queue, Queues
from exporter.nodemap.renames import Renames
from exporter.nodemap.suppression import Disruptions
from exporter.nodemap.totals import Totals
from exporter.nodemap.walltime import WallTime

MAX_RECENT = 10_000
STRAY_INTERVALS = 2
"""For so many heartbeat intervals the stray heartbeats of a departed node are ignored."""
MAX_DEPARTED = 50_000
"""So many nodes that are gone are remembered, the latest; ever new names would else fill the memory for days."""


class MapState:
    """Which nodes there are and how each stands. Every step keeps totals, queues, journal and listeners in line."""

    def __init__(
        self,
        clock: Clock,
        thresholds: Thresholds,
        *,
        site_rule: SiteRule | None = None,
        max_nodes: int = 1_000_000,
        sources: dict[Transport, tuple[Source, ...]] | None = None,
    ) -> None:
        """`sources`: what each transport needs to hear, beside this process itself; nothing by default."""
        self.clock = clock
        self.thresholds = thresholds
        self.max_nodes = max_nodes
        now_ns = clock.monotonic_ns()
        self._process = Source("process", now_ns)
        self.reception = {
            transport: Reception(
                (self._process, *(sources or {}).get(transport, ())),
                until_ns=now_ns,
                gap_ns=thresholds.gap,
                grace_ns=thresholds.grace,
                budget_ns=thresholds.offline_after,
            )
            for transport in Transport
        }
        self.totals = Totals(site_rule or SiteRule())
        self.pending = PendingChanges()
        self.listeners: list[Listener] = []
        self.version = 0
        """Grows with every change that a document shows, `last_seen` excepted."""
        self.facts_version = 0
        """Grows when a node comes, goes or registers again: what the topology depends on."""
        self.departed: dict[str, Tombstone] = {}
        """Nodes that are gone and that may still stray or be re-seeded, oldest first."""
        self.recent: deque[Transition] = deque(maxlen=MAX_RECENT)
        """The latest transitions, oldest first."""
        self.queues = Queues()
        self._nodes: dict[str, Node] = {}
        self._next_order = 0
        self._ttls = Deadlines()
        self._untils = Deadlines()
        self.ticked_ns = now_ns
        self._gap_ns = thresholds.gap
        self.wall_time = WallTime(now_ns, clock.wall_ns())
        self.disruptions = Disruptions(self.totals, self.wall_time, self._note_suppression)
        self._renames = Renames(self._note_suppression)
        self._recently_offline = RecentlyOffline(self.totals, self.disruptions.note)
        self.readings_rejected = dict.fromkeys(Reason, 0)
        """Parts of heartbeats that were left out."""
        self._late_until_ns: dict[str, int] = {}
        self._hold: list[tuple[bool, bool]] = []

    # Reading

    def __len__(self) -> int:
        return len(self._nodes)

    def get(self, name: str) -> Node:
        """The node of this name; raises UnknownNode."""
        node = self._nodes.get(name)
        if node is None:
            raise UnknownNode(name)
        return node

    def find(self, name: str) -> Node | None:
        """The node of this name, or None."""
        return self._nodes.get(name)

    def nodes(self) -> ValuesView[Node]:
        """Every node, in order of registration; a live view."""
        return self._nodes.values()

    def counted_age_ns(self, node: Node) -> int:
        """The silence that the node's status is derived from: blind time and grace left out."""
        return self.reception[node.transport].counted_age_ns(node.last_heartbeat_ns)

    def held_since_ns(self, node: Node, now_ns: int) -> int | None:
        """Since when (monotonic) the node's status waits for us to hear it; None when it does not."""
        return self.reception[node.transport].held_since_ns(node.last_heartbeat_ns, now_ns)

    def anything_held(self) -> bool:
        """Whether `held_since_ns` may be other than None for any node."""
        now_ns = self.clock.monotonic_ns()
        return any(reception.holding or reception.blind(now_ns) for reception in self.reception.values())

    # Single steps

    def put(self, record: NodeRecord, live: Live | None = None) -> Node:
        """Take the record as the node's own; one that is new stands as `live` says, or was heard just now."""
        node = self._nodes.get(record.name)
        if node is None:
            now_ns = self.clock.monotonic_ns()
            live = live or Live(now_ns, self.clock.wall_ns(), Transport.HTTP, Status.ACTIVE, now_ns)
            node = Node(record, self._next_order, live)
            self._next_order += 1
            self._nodes[record.name] = node
            self.departed.pop(record.name, None)
            self._late_until_ns.pop(record.name, None)
            self.pending.tombstones.pop(record.name, None)
            self.enqueue(node, self.queues.current[node.transport])
            self.totals.add(node)
            self._renames.add(node)
            change = Change.APPEARED
        else:
            change = Change.FACTS if record.registration != node.record.registration else Change.LIFECYCLE
            self.totals.discard(node)
            if record.registration.site != node.facts.site:
                self.disruptions.drop(node)
            self._renames.discard(node)
            node.record = record
            self._renames.add(node)
            self.totals.add(node)
            self.disruptions.note(node)
        self._appoint(node)
        if change is not Change.LIFECYCLE:
            self.facts_version += 1
        self.version += 1
        self._tell(change, node)
        return node

    def remove(self, tombstone: Tombstone) -> None:
        """The node is gone; its tombstone stays for a while."""
        self.departed.pop(tombstone.name, None)
        self.departed[tombstone.name] = tombstone
        if tombstone.removal is Removal.DEPARTED:
            gone_for_ns = max(0, self.clock.wall_ns() - tombstone.at_ns)
            self._late_until_ns.pop(tombstone.name, None)
            strays_ns = STRAY_INTERVALS * self.thresholds.heartbeat_interval - gone_for_ns
            self._late_until_ns[tombstone.name] = self.clock.monotonic_ns() + strays_ns
        node = self._nodes.pop(tombstone.name, None)
        if node is None:
            return
        self.totals.discard(node)
        Queue.discard(node)
        self._recently_offline.drop(node)
        self.disruptions.drop(node)
        self._renames.discard(node)
        self._ttls.drop(node.name)
        self._untils.drop(node.name)
        self.pending.heartbeats.discard(node)
        self.pending.records.pop(node.name, None)
        self.version += 1
        self.facts_version += 1
        self._tell(Change.DEPARTED if tombstone.removal is Removal.DEPARTED else Change.FORGOTTEN, node)

    def record_heartbeat(self, node: Node, last_heartbeat_ns: int, last_seen_ns: int, transport: Transport) -> None:
        """The node was heard: its silence begins anew, and it is active."""
        node.last_heartbeat_ns = last_heartbeat_ns
        if last_seen_ns > node.last_seen_ns:  # noqa: PLR1730 - a call to max() costs a heartbeat a tenth more
            node.last_seen_ns = last_seen_ns
        if transport is not node.transport:
            node.transport = transport
            self.version += 1
        current = self.queues.current[transport]
        if node.queue is current:
            current.nodes.move_to_end(node.order)
        else:
            current.push(node)
            self.version += 1
        self.pending.heartbeats.add(node)
        if node.status is not Status.ACTIVE:
            self.set_status(node, Status.ACTIVE, last_heartbeat_ns)

    def record_remote_heartbeat(
        self, node: Node, last_heartbeat_ns: int, last_seen_ns: int, transport: Transport
    ) -> None:
        """Another registry heard the node, a moment ago; what we heard later ourselves stands."""
        if last_heartbeat_ns > node.last_heartbeat_ns:
            self.record_heartbeat(node, last_heartbeat_ns, last_seen_ns, transport)
            self.pending.heartbeats.discard(node)

    def set_status(self, node: Node, status: Status, at_ns: int, *, told: bool = True) -> None:
        """The node's status changes, as of a moment of the monotonic clock; `told`: it is a transition of record."""
        self.totals.discard(node)
        before, node.status, node.status_since_ns = node.status, status, at_ns
        node.long_offline = False
        self._recently_offline.drop(node)
        self.totals.add(node)
        if status is Status.ACTIVE:
            node.entered_active += 1
        elif status is Status.WARNING:
            node.entered_warning += 1
        else:
            node.entered_offline += 1
            node.readings = node.gpu_health = ()
            self._recently_offline.add(node)
        self.disruptions.note(node)
        self._renames.note(node)
        if isinstance(node.queue, Queue):
            self.enqueue(node, node.queue)
        self.version += 1
        if told:
            transition = Transition(node.name, before, status, self.wall_time.at(at_ns))
            self.pending.transitions.append(transition)
            self.recent.append(transition)
        self._tell(Change.STATUS, node)
        if status is Status.ACTIVE and node.lifecycle.overdue(self.clock.wall_ns()):
            self.set_lifecycle(node, IN_SERVICE)

    def set_lifecycle(self, node: Node, lifecycle: Lifecycle) -> None:
        """The node's lifecycle changes by time or by its own word; the store hears of it with the next batch."""
        if lifecycle is not node.record.lifecycle:
            revision_ns = max(self.clock.wall_ns(), node.record.revision_ns + 1)
            record = NodeRecord(node.facts, node.record.registered_at_ns, revision_ns, lifecycle)
            self.pending.keep(record)
            self.put(record)

    @staticmethod
    def enqueue(node: Node, queue: Queue) -> None:
        """Put the node at the end of the queue, among this one's siblings, that its status belongs in."""
        parked = node.status is Status.OFFLINE and node.facts.ttl_ns
        queue.siblings[None if parked else node.status].push(node)

    def _appoint(self, node: Node) -> None:
        if node.lifecycle.phase is Phase.IN_SERVICE:
            self._untils.drop(node.name)
        else:
            self._untils.set(node.name, node.lifecycle.until_ns)
        if node.facts.ttl_ns:
            self._ttls.set(node.name, node.last_heartbeat_ns + node.facts.ttl_ns)
        else:
            self._ttls.drop(node.name)

    def _note_suppression(self, node: Node) -> None:
        self.version += 1
        self._tell(Change.SUPPRESSION, node)

    def _tell(self, change: Change, node: Node) -> None:
        for listener in self.listeners:
            listener(change, node)
