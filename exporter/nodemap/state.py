"""The state of the node map, and the single steps that change it: nothing else writes a node's status or heartbeat."""

from __future__ import annotations

from collections.abc import Iterator, ValuesView

from msgspec.structs import replace

from exporter.domain.clock import Clock
from exporter.domain.config import Limits
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
from exporter.nodemap.history import RecentTransitions
from exporter.nodemap.meshtime import MeshTime
from exporter.nodemap.paths import Path, Paths
from exporter.nodemap.pending import PendingChanges
from exporter.nodemap.queues import Queue, Queues
from exporter.nodemap.renames import Renames
from exporter.nodemap.room import Room
from exporter.nodemap.suppression import Disruptions
from exporter.nodemap.totals import Totals
from exporter.nodemap.walltime import WallTime

LATE_INTERVALS = 2
"""For so many heartbeat intervals the late heartbeats of a departed node are ignored."""
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
        limits: Limits | None = None,
        sources: dict[Transport, tuple[Source, ...]] | None = None,
        instance: str = "",
        by: str = "",
    ) -> None:
        """`sources`: what each transport needs to receive, beside this process itself; nothing by default.

        `instance`: how other registries on the store know this one. `by`: marks this process' transitions.
        """
        self.clock = clock
        self.thresholds = thresholds
        limits = limits or Limits()
        self.room = Room(limits.max_nodes, limits.max_state)
        now_ns = clock.monotonic_ns()
        self.instance = instance
        self._by = by
        self.paths = Paths(now_ns, thresholds, sources or {}, instance)
        self.peers = self.paths.peers
        self.own_paths = self.paths.own
        self.reception = {transport: path.reception for transport, path in self.own_paths.items()}
        """Of our own paths."""
        self.mesh_time = MeshTime(now_ns, clock.wall_ns())
        self.totals = Totals(site_rule or SiteRule())
        self.pending = PendingChanges()
        self.listeners: list[Listener] = []
        self.version = 0
        """Grows with every change that a document shows, `last_seen` excepted."""
        self.facts_version = 0
        """Grows when a node comes, goes or registers again: what the topology depends on."""
        self.departed: dict[str, Tombstone] = {}
        """Nodes that are gone and that may still send or be re-seeded, oldest first."""
        self.recent = RecentTransitions()
        self.queues = Queues()
        for path in self.paths:
            self.queues.new_generation(path)
        self._nodes: dict[str, Node] = {}
        self._next_order = 0
        self._ttls = Deadlines()
        self._untils = Deadlines()
        self.ticked_ns = now_ns
        self.resumed_ns = 0
        """When we went on after a stop so long that nodes may have died in it; 0 once the bus answered a ping since."""
        self._bus_behind = False
        """What the bus brings waited for longer than a gap; as of the last tick."""
        self._gap_ns = thresholds.gap
        self._rules_since_ns = 0
        """When (monotonic) the thresholds were changed: no transition by them was before."""
        self._to_review: Iterator[Node] | None = None
        """Nodes that new rules may bring back, as long as there are any."""
        self.wall_time = WallTime(now_ns, clock.wall_ns())
        self.disruptions = Disruptions(self.totals, self.wall_time, self._note_suppression)
        self._renames = Renames(thresholds.heartbeat_interval, self.mesh_time, self._note_suppression)
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
        """The age that the node's status is derived from: outages and grace left out."""
        return self.reception_of(node).counted_age_ns(node.last_heartbeat_ns)

    def reception_of(self, node: Node) -> Reception:
        """Of the path that the node's last heartbeat came on."""
        return node.path.reception if isinstance(node.path, Path) else self.reception[node.transport]

    def held_since_ns(self, node: Node, now_ns: int) -> int | None:
        """Since when (monotonic) the node's status is frozen, as we are blind to it; None where it is not."""
        return self.reception_of(node).held_since_ns(node.last_heartbeat_ns, now_ns)

    def anything_held(self) -> bool:
        """Whether `held_since_ns` may be other than None for any node."""
        now_ns = self.clock.monotonic_ns()
        return any(path.reception.holding or path.reception.blind(now_ns) for path in self.paths)

    def path_via(self, via: str, transport: Transport) -> Path:
        """The path of a heartbeat that this registry received; ours where it names none or us."""
        path = self.paths.find(via, transport)
        if path is None:
            path = self.paths.add(via, transport, self.clock.monotonic_ns())
            self.queues.new_generation(path)
        return path

    def revision_ns(self, *known_ns: int) -> int:
        """The revision of what is written now: later than all that are known."""
        return max(self.mesh_time.at(self.clock.monotonic_ns()), *(known + 1 for known in known_ns))

    # Single steps

    def put(self, record: NodeRecord, live: Live | None = None) -> Node:
        """Take the record as the node's own; one that is new stands as `live` says, or as after a heartbeat now."""
        node = self._nodes.get(record.name)
        self.room.exchange(node.facts if node else None, record.registration)
        if node is None:
            now_ns = self.clock.monotonic_ns()
            live = live or Live(now_ns, self.clock.wall_ns(), Transport.HTTP, Status.ACTIVE, now_ns)
            node = Node(record, self._next_order, live)
            node.path = path = self.path_via(live.via, live.transport)
            self._next_order += 1
            self._nodes[record.name] = node
            self.departed.pop(record.name, None)
            self._late_until_ns.pop(record.name, None)
            self.pending.tombstones.pop(record.name, None)
            self.queues.current[path].enqueue(node)
            self.totals.add(node)
            if node.status is Status.OFFLINE:
                self._recently_offline.add(node)
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
        self._set_deadlines(node)
        if change is not Change.LIFECYCLE:
            self.facts_version += 1
        self.version += 1
        self._notify(change, node)
        return node

    def remove(self, tombstone: Tombstone, *, down_ns: int = 0) -> None:
        """The node is gone; its tombstone stays for a while. `down_ns`: for so long since then nobody received."""
        self.departed.pop(tombstone.name, None)
        self.departed[tombstone.name] = tombstone
        if tombstone.removal is Removal.DEPARTED:
            self._late_until_ns.pop(tombstone.name, None)
            left_ns = min(self.mesh_time.local(tombstone.revision_ns) + down_ns, self.clock.monotonic_ns())
            late_ns = LATE_INTERVALS * self.thresholds.heartbeat_interval
            self._late_until_ns[tombstone.name] = left_ns + late_ns
        node = self._nodes.pop(tombstone.name, None)
        if node is None:
            return
        node.readings = node.ignored = ()
        self.room.note_report(node)
        self.room.exchange(node.facts, None)
        self._recently_offline.drop(node)
        self.totals.discard(node)
        Queue.discard(node)
        self.disruptions.drop(node)
        self._renames.discard(node)
        self._ttls.drop(node.name)
        self._untils.drop(node.name)
        self.pending.heartbeats.discard(node)
        self.pending.forget_record(node.name)
        self.version += 1
        self.facts_version += 1
        self._notify(Change.DEPARTED if tombstone.removal is Removal.DEPARTED else Change.FORGOTTEN, node)

    def record_heartbeat(self, node: Node, last_heartbeat_ns: int, last_seen_ns: int, path: Path) -> None:
        """The node sent a heartbeat: its age starts at zero, and it is active."""
        node.last_heartbeat_ns = last_heartbeat_ns
        if last_seen_ns > node.last_seen_ns:  # noqa: PLR1730 - a call to max() costs a heartbeat a tenth more
            node.last_seen_ns = last_seen_ns
        if path is not node.path:
            node.path, node.transport = path, path.transport
            self.version += 1
        current = self.queues.current[path]
        if node.queue is current:
            current.nodes.move_to_end(node.order)
        else:
            current.push(node)
            self.version += 1
        self.pending.heartbeats.add(node)
        if node.status is not Status.ACTIVE:
            self.set_status(node, Status.ACTIVE, last_heartbeat_ns)

    def record_remote_heartbeat(self, node: Node, last_heartbeat_ns: int, last_seen_ns: int, path: Path) -> bool:
        """Another registry received a heartbeat later than those that we know; whether the node is back by it.

        It is not back where the registry that recorded its status knew that heartbeat: each registry stamps a
        heartbeat on the bus by itself.
        """
        if node.status is not Status.ACTIVE and last_heartbeat_ns <= node.status_since_ns:
            node.last_heartbeat_ns, node.path, node.transport = last_heartbeat_ns, path, path.transport
            node.last_seen_ns = max(node.last_seen_ns, last_seen_ns)
            self.version += 1
            return False
        self.record_heartbeat(node, last_heartbeat_ns, last_seen_ns, path)
        self.pending.heartbeats.discard(node)
        return True

    def set_status(self, node: Node, status: Status, at_ns: int, *, recorded: bool = True) -> None:
        """The node's status changes, as of a moment of the monotonic clock; `recorded`: as a transition."""
        self._recently_offline.drop(node)
        before, node.status, node.status_since_ns = node.status, status, at_ns
        self.totals.restate(node, before)
        if status is Status.ACTIVE:
            node.entered_active += 1
        elif status is Status.WARNING:
            node.entered_warning += 1
        else:
            node.entered_offline += 1
            node.readings = node.gpu_health = ()
            self.room.note_report(node)
            self._recently_offline.add(node)
        self.disruptions.note(node)
        self._renames.note(node)
        if isinstance(node.queue, Queue):
            node.queue.enqueue(node)
        self.version += 1
        if recorded:
            self._make_transition(node, before, status, at_ns)
        self._notify(Change.STATUS, node)
        if status is Status.ACTIVE and node.lifecycle.overdue(self.clock.wall_ns()):
            self.set_lifecycle(node, IN_SERVICE)

    def set_lifecycle(self, node: Node, lifecycle: Lifecycle) -> None:
        """The node's lifecycle changes by time or by its own word; the store gets it with the next batch."""
        if lifecycle is not node.record.lifecycle:
            revision_ns = self.revision_ns(node.record.revision_ns)
            record = replace(node.record, revision_ns=revision_ns, lifecycle=lifecycle)
            self.pending.keep(record, node.record.revision_ns)
            self.put(record)

    def adopt_transition(self, node: Node, transition: Transition) -> None:
        """What was recorded stands; it changes the node's status unless we know of a later heartbeat."""
        before, node.last_transition = node.last_transition, transition
        if transition.to is node.status:
            return
        at_ns = min(self.mesh_time.local(transition.stamp_ns), self.clock.monotonic_ns())
        if transition.to is Status.ACTIVE and before is not None and transition.stamp_ns == before.stamp_ns + 1:
            # By new limits, and no heartbeat: its stamp is later than the one before for the order's sake alone.
            self.set_status(node, Status.ACTIVE, node.last_heartbeat_ns, recorded=False)
            Queue.to_front(node)
        elif transition.to is Status.ACTIVE:
            # It was made by a heartbeat, which we may not have received.
            if at_ns > node.last_heartbeat_ns:
                node.last_seen_ns = max(node.last_seen_ns, transition.at_ns)
                node.last_heartbeat_ns = at_ns
                self.queues.arrange([node])
            self.set_status(node, Status.ACTIVE, at_ns, recorded=False)
        elif at_ns > node.last_heartbeat_ns:
            self.set_status(node, transition.to, at_ns, recorded=False)
        else:
            # We received a heartbeat since: record the node's status as we know it.
            self._make_transition(node, transition.to, node.status, node.last_heartbeat_ns)
            self.pending.heartbeats.add(node)

    def _make_transition(self, node: Node, before: Status, status: Status, at_ns: int) -> None:
        last = node.last_transition
        # As `last_seen`, what people read never goes back, wherever the wall clock was set to.
        shown_ns = max(self.wall_time.at(at_ns), node.record.registered_at_ns, last.at_ns if last else 0)
        if status is not Status.ACTIVE:
            shown_ns = max(shown_ns, node.last_seen_ns)
        # Another registry may have counted the age a little differently: stamps keep to the order all the same.
        stamp_ns = max(self.mesh_time.at(at_ns), last.stamp_ns + 1 if last else 0)
        node.last_transition = transition = Transition(
            node.name, before, status, shown_ns, node.sequence_now + 1, stamp_ns, self._by
        )
        self.pending.note_transition(transition, len(self._nodes))
        self.recent.note(transition)

    def _set_deadlines(self, node: Node) -> None:
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
        self._notify(Change.SUPPRESSION, node)

    def _notify(self, change: Change, node: Node) -> None:
        for listener in self.listeners:
            listener(change, node)
