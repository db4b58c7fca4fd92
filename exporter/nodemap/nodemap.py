"""The node map: which nodes there are, when each sent its last heartbeat, and which status follows from that.

This is the state and the single steps that change it; nothing else writes a node's status or heartbeats. What is made
of these steps is in modules of their own: `commands`, `intake` (heartbeats), `timekeeping`, `loading` and `merging`.
"""

from __future__ import annotations

from collections.abc import ValuesView

from msgspec.structs import replace

from exporter.domain.alike import hold_once
from exporter.domain.clock import Clock
from exporter.domain.config import Limits
from exporter.domain.errors import UnknownNode
from exporter.domain.heartbeat import Reason
from exporter.domain.lifecycle import IN_SERVICE, Lifecycle
from exporter.domain.node import Live, Node, NodeRecord, Removal, Tombstone
from exporter.domain.reception import Source
from exporter.domain.site import SiteRule
from exporter.domain.status import Status, Thresholds, Transport
from exporter.domain.transition import Transition
from exporter.nodemap.aggregates import Aggregates
from exporter.nodemap.changes import Change, Listener
from exporter.nodemap.commands import Commands
from exporter.nodemap.deadlines import NodeDeadlines
from exporter.nodemap.freshness import Freshness
from exporter.nodemap.history import RecentTransitions, TransitionRecorder
from exporter.nodemap.intake import HeartbeatIntake
from exporter.nodemap.paths import Path, Paths
from exporter.nodemap.pending import PendingChanges
from exporter.nodemap.queues import Queue, Queues
from exporter.nodemap.reports import is_clone
from exporter.nodemap.room import Room
from exporter.nodemap.timekeeping import Timekeeper
from exporter.nodemap.timelines import MeshTime, WallTime
from exporter.nodemap.tombstones import Tombstones

_ACTIVE, _WARNING = Status.ACTIVE, Status.WARNING
_STATUS, _SUPPRESSION = Change.STATUS, Change.SUPPRESSION


class NodeMap:
    """The only mutable state of the registry. Every step keeps totals, queues, pending changes and listeners in line.

    Single-threaded: every call is made from the event loop, and none waits. What must be durable before it counts is
    worked out with `plan`, saved by the caller, and then applied with `commit`; all else goes into `pending`.
    """

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
        now_ns, wall_ns = clock.monotonic_ns(), clock.wall_ns()
        limits = limits or Limits()
        self.clock = clock
        self.thresholds = thresholds
        self.instance = instance
        self.listeners: list[Listener] = []
        self.version = 0
        """Grows with every change that a document shows, `last_seen` excepted."""
        self.facts_version = 0
        """Grows when a node comes, goes or registers again: what the topology depends on."""
        self._nodes: dict[str, Node] = {}
        self.find = self._nodes.get
        """The node of a name, or None."""
        self._next_order = 0

        self.mesh_time = MeshTime(now_ns, wall_ns)
        self.wall_time = WallTime(now_ns, wall_ns)
        self.paths = Paths(now_ns, thresholds, sources or {}, instance)
        self.peers = self.paths.peers
        self.own_paths = self.paths.own
        self.reception = {transport: path.reception for transport, path in self.own_paths.items()}
        """Of our own paths."""
        self.freshness = Freshness(clock, self.paths, thresholds)
        self.queues = Queues()
        for path in self.paths:
            self.queues.new_generation(path)
        self.deadlines = NodeDeadlines()

        self.room = Room(limits.max_nodes, limits.max_state)
        self.aggregates = Aggregates(
            thresholds,
            site_rule or SiteRule(),
            self.mesh_time,
            self.wall_time,
            find=self.find,
            on_mark=self._note_suppression,
        )
        self.totals, self.disruptions = self.aggregates.totals, self.aggregates.disruptions
        self.readings_rejected = dict.fromkeys(Reason, 0)
        """Parts of heartbeats that were left out."""
        self.tombstones = Tombstones(self.mesh_time)
        self.departed = self.tombstones.by_name
        """Nodes that are gone and that may still send or be re-seeded, oldest first."""
        self.recent = RecentTransitions()
        self._recorder = TransitionRecorder(self.mesh_time, self.wall_time, by)
        self.pending = PendingChanges()

        self.reception_of, self.counted_age_ns = self.paths.reception_of, self.paths.counted_age_ns
        self.held_since_ns, self.anything_held = self.paths.held_since_ns, self.paths.anything_held
        commands, intake, timekeeper = Commands(self), HeartbeatIntake(self), Timekeeper(self)
        self.plan, self.commit = commands.plan, commands.commit
        self.heartbeat, self.waited_on_bus = intake.heartbeat, intake.waited_on_bus
        self.waited_since_ns = intake.waited_since_ns
        self.tick, self.reconfigure = timekeeper.tick, timekeeper.reconfigure
        self.take_proofs = timekeeper.take_proofs

    # Reading

    def __len__(self) -> int:
        return len(self._nodes)

    def get(self, name: str) -> Node:
        """The node of this name; raises UnknownNode."""
        node = self._nodes.get(name)
        if node is None:
            raise UnknownNode(name)
        return node

    def nodes(self) -> ValuesView[Node]:
        """Every node, in order of registration; a live view."""
        return self._nodes.values()

    def path_via(self, via: str, transport: Transport) -> Path:
        """The path of a heartbeat that this registry received; ours where it names none or us."""
        path = self.paths.find(via, transport)
        if path is None:
            path = self.paths.add(via, transport, self.clock.monotonic_ns())
            self.queues.new_generation(path)
        return path

    def revision_ns(self, *known_ns: int, at_ns: int | None = None) -> int:
        """The revision of what is written now, or dates from `at_ns` (monotonic): later than all that are known."""
        at_ns = self.clock.monotonic_ns() if at_ns is None else at_ns
        return max(self.mesh_time.at(at_ns), *(known + 1 for known in known_ns))

    # Single steps

    def put(self, record: NodeRecord, live: Live | None = None) -> Node:
        """Take the record as the node's own; one that is new stands as `live` says, or as after a heartbeat now."""
        node = self._nodes.get(record.name)
        hold_once(record.registration)
        self.room.exchange(node.facts if node else None, record.registration)
        if node is None:
            now_ns = self.clock.monotonic_ns()
            live = live or Live(now_ns, self.clock.wall_ns(), Transport.HTTP, _ACTIVE, now_ns)
            node = Node(record, self._next_order, live)
            node.path = path = self.path_via(live.via, live.transport)
            self._next_order += 1
            self._nodes[record.name] = node
            self.tombstones.drop(record.name)
            self.pending.tombstones.pop(record.name, None)
            self.queues.current[path].enqueue(node)
            self.aggregates.add(node)
            change = Change.APPEARED
        else:
            change = Change.FACTS if record.registration != node.record.registration else Change.LIFECYCLE
            self.aggregates.replace_record(node, record)
        self.deadlines.set(node)
        if change is not Change.LIFECYCLE:
            self.facts_version += 1
        self.note_change(change, node)
        return node

    def remove(self, tombstone: Tombstone) -> None:
        """The node is gone; its tombstone stays for a while."""
        self.tombstones.add(tombstone, self.clock.monotonic_ns(), self.thresholds)
        node = self._nodes.pop(tombstone.name, None)
        if node is None:
            return
        node.readings = node.ignored = ()
        self.room.note_report(node)
        self.room.exchange(node.facts, None)
        self.aggregates.discard(node)
        Queue.discard(node)
        self.deadlines.drop(node.name)
        self.pending.forget_heartbeat(node)
        self.pending.forget_record(node.name)
        self.version += 1
        self.facts_version += 1
        self.notify(Change.DEPARTED if tombstone.removal is Removal.DEPARTED else Change.FORGOTTEN, node)

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
        if path.transport is Transport.BUS:
            self.pending.heartbeats.add(node)
        else:
            self.pending.heartbeats_over_http.add(node)
        if node.status is not _ACTIVE:
            self.set_status(node, _ACTIVE, last_heartbeat_ns)

    def record_remote_heartbeat(self, node: Node, last_heartbeat_ns: int, last_seen_ns: int, path: Path) -> None:
        """Another registry received a heartbeat later than those that we know.

        The node is not back by it where the registry that recorded its status knew that heartbeat: each registry stamps
        a heartbeat on the bus by itself.
        """
        if node.status is not _ACTIVE and last_heartbeat_ns <= node.status_since_ns:
            node.last_heartbeat_ns, node.path, node.transport = last_heartbeat_ns, path, path.transport
            node.last_seen_ns = max(node.last_seen_ns, last_seen_ns)
            self.version += 1
            return
        self.record_heartbeat(node, last_heartbeat_ns, last_seen_ns, path)
        self.pending.forget_heartbeat(node)

    def set_status(self, node: Node, status: Status, at_ns: int, *, recorded: bool = True) -> None:
        """The node's status changes, as of a moment of the monotonic clock; `recorded`: as a transition."""
        self.aggregates.before_status(node)
        before, node.status, node.status_since_ns = node.status, status, at_ns
        if status is _ACTIVE:
            node.entered_active += 1
        elif status is _WARNING:
            node.entered_warning += 1
        else:
            node.entered_offline += 1
            node.readings = node.gpu_health = ()
            self.room.note_report(node)
        self.aggregates.after_status(node, before)
        if isinstance(node.queue, Queue):
            node.queue.enqueue(node)
        self.version += 1
        if recorded:
            self._make_transition(node, before, at_ns)
        self.notify(_STATUS, node)
        lifecycle = node.record.lifecycle
        if status is _ACTIVE and lifecycle is not IN_SERVICE and lifecycle.overdue(self.clock.wall_ns()):
            self.set_lifecycle(node, IN_SERVICE)

    def set_lifecycle(self, node: Node, lifecycle: Lifecycle, at_ns: int | None = None) -> None:
        """The node's lifecycle changes by time or by its own word; the store gets it with the next batch.

        `at_ns`: as of a moment of the monotonic clock; now by default.
        """
        if lifecycle is not node.record.lifecycle:
            revision_ns = self.revision_ns(node.record.revision_ns, at_ns=at_ns)
            record = replace(node.record, revision_ns=revision_ns, lifecycle=lifecycle)
            self.pending.keep(record, node.record.revision_ns)
            self.put(record)

    def adopt_transition(self, node: Node, transition: Transition) -> bool:
        """What was recorded stands; it changes the node's status unless we know of a later heartbeat.

        Whether the node has a heartbeat by it, so that it has to be queued again (`Queues.arrange`).
        """
        before, node.last_transition = node.last_transition, transition
        if transition.to is node.status:
            return False
        at_ns = min(self.mesh_time.local(transition.stamp_ns), self.clock.monotonic_ns())
        if transition.to is _ACTIVE and before is not None and transition.stamp_ns == before.stamp_ns + 1:
            # By new limits, and no heartbeat: its stamp is later than the one before for the order's sake alone.
            self.set_status(node, _ACTIVE, node.last_heartbeat_ns, recorded=False)
            Queue.to_front(node)
        elif transition.to is _ACTIVE:
            # It was made by a heartbeat, which we may not have received.
            is_later = at_ns > node.last_heartbeat_ns
            if is_later:
                node.last_seen_ns = max(node.last_seen_ns, transition.at_ns)
                node.last_heartbeat_ns = at_ns
            self.set_status(node, _ACTIVE, at_ns, recorded=False)
            return is_later
        elif at_ns > node.last_heartbeat_ns:
            self.set_status(node, transition.to, at_ns, recorded=False)
        else:
            # We received a heartbeat since: record the node's status as we know it.
            self._make_transition(node, transition.to, node.last_heartbeat_ns)
            self.pending.note_heartbeat(node)
        return False

    def note_conflict(self, name: str) -> None:
        """Somebody else claimed the node's name and was refused."""
        node = self._nodes.get(name)
        if node is not None:
            node.conflicts += 1
            self.notify(Change.REPORT, node)

    def note_identity(self, node: Node, identity: str) -> None:
        """Who sent for the node; two machines that take turns are a conflict."""
        if is_clone(node, identity, self.clock.monotonic_ns(), self.thresholds.offline_after):
            self.note_conflict(node.name)

    def set_rules(self, thresholds: Thresholds, site_rule: SiteRule) -> None:
        """By which limits nodes are judged from now on; none is judged yet."""
        self.thresholds = thresholds
        self.aggregates.reconfigure(thresholds, site_rule)
        self.paths.reconfigure(thresholds)
        self.freshness.reconfigure(thresholds)

    def note_change(self, change: Change, node: Node) -> None:
        """A change of the node that its document shows."""
        self.version += 1
        self.notify(change, node)

    def notify(self, change: Change, node: Node) -> None:
        """Call the listeners."""
        for listener in self.listeners:
            listener(change, node)

    def _make_transition(self, node: Node, before: Status, at_ns: int) -> None:
        node.last_transition = transition = self._recorder.make(node, before, at_ns)
        back = node if node.status is Status.ACTIVE else None
        self.pending.note_transition(transition, len(self._nodes), self.clock.monotonic_ns(), back=back)
        self.recent.note(transition)

    def _note_suppression(self, node: Node) -> None:
        self.note_change(_SUPPRESSION, node)
