"""The node map: which nodes there are, when each sent its last heartbeat, and which status follows from that."""

from __future__ import annotations

from collections import deque
from itertools import islice

from msgspec.structs import replace

from exporter.domain.command import Command, Depart, Register
from exporter.domain.config import Limits
from exporter.domain.errors import DepartedNode, LeaseExpired, UnknownNode
from exporter.domain.heartbeat import Heartbeat, PartialHeartbeat, check_name
from exporter.domain.lifecycle import ACTIVE, IN_SERVICE, Phase, after_heartbeat
from exporter.domain.node import Node, NodeRecord, Removal, Tombstone
from exporter.domain.registration import Registration, identity_of
from exporter.domain.site import SiteRule
from exporter.domain.status import Status, Thresholds, Transport
from exporter.nodemap.changes import Change
from exporter.nodemap.paths import NEVER, Path
from exporter.nodemap.planning import PlannedWrite, check_claim, is_heartbeat, result_of, tombstone_of
from exporter.nodemap.queues import Queue
from exporter.nodemap.reports import is_clone, note_health, take_report, without_impossible
from exporter.nodemap.room import Growth
from exporter.nodemap.state import MAX_DEPARTED, MapState


class NodeMap(MapState):
    """The only mutable state of the registry: what callers may ask of it, made of the single steps of MapState.

    Single-threaded: every call is made from the event loop, and none waits. What must be durable before it counts is
    worked out with `plan`, saved by the caller, and then applied with `commit`; all else goes into `pending`.
    """

    # Commands

    def plan(self, command: Command, ahead: Growth | None = None) -> PlannedWrite:
        """Work a command out against the map as it is, and `ahead`, by which earlier plans let it grow: this one's is
        added. Raises NameConflict, NodeLimit, StateLimit or UnknownNode.
        """  # noqa: D205 - one sentence
        node = self._nodes.get(command.name)
        if node is None:
            if not isinstance(command, Register):
                raise UnknownNode(command.name)
        elif isinstance(command, Register):
            check_claim(node, command.registration)
        result = self._result(command, node)
        if isinstance(command, Register) and isinstance(result, NodeRecord):
            self.room.reserve(len(self._nodes), node.facts if node else None, result.registration, ahead or Growth())
        return PlannedWrite(command, node.record if node else None, result, self._base_ns(command.name))

    def commit(self, planned: PlannedWrite) -> Node | None:
        """Apply what was planned, now that it is durable; the node, or None where it is gone."""
        command, result = planned.command, planned.result
        node = self._nodes.get(command.name)
        if (node.record if node else None) is not planned.base:
            # The node changed while the store wrote: the command is worked out again, for the next batch.
            result = self._result(command, node)
            self.pending.keep(result, planned.result.revision_ns)
        else:
            self.pending.forget_record(command.name)
        if isinstance(result, Tombstone):
            self.remove(result)
            return None
        node = self.put(result)
        if isinstance(command, Register) and is_heartbeat(command, node):
            self._note_identity(node, identity_of(command.registration))
            self.record_heartbeat(node, self.clock.monotonic_ns(), self.clock.wall_ns(), self.paths[command.transport])
        return node

    def heartbeat(self, beat: Heartbeat, transport: Transport, *, appear: bool = False) -> Node:
        """Take in one heartbeat, received now.

        Raises UnknownNode for a name that was never registered, unless it may `appear` (then Invalid for what is no
        name, NodeLimit or StateLimit when the map is full), DepartedNode while late heartbeats of a departed node are
        ignored, and LeaseExpired when we are cut off from the other registries for too long, or were stopped just now.
        """
        now_ns, path = self.clock.monotonic_ns(), self.own_paths[transport]
        uncertain = now_ns - self.ticked_ns > self._gap_ns or now_ns > path.lease_until_ns or self.resumed_ns
        behind = (uncertain or self._bus_behind) and self._is_behind(path, now_ns)
        node = self._nodes.get(beat.node)
        if node is None:
            node = self._register_implicitly(beat, transport, appear=appear)
        elif behind and node.status is not Status.ACTIVE and self.waited_on_bus():
            return node
        before_ns, path_before = node.last_heartbeat_ns, node.path
        sent_ns = now_ns
        if behind:
            # It was sent after the last proof of reception, and nothing says how long after, nor what its clock was.
            sent_ns = min(max(path.reception.until_ns, before_ns), now_ns)
            beat = replace(beat, timestamp=None)
        wall_ns = now_ns + self.wall_time.offset_ns
        self.record_heartbeat(node, sent_ns, sent_ns + self.wall_time.offset_ns, path)
        if beat.instance and beat.instance != node.identity:
            self._note_identity(node, beat.instance)
        if beat.gpus or node.ignored or isinstance(beat, PartialHeartbeat):
            beat = self._sift(node, beat)
        if (
            beat.sequence is not None
            or beat.timestamp is not None
            or beat.gpus is not None
            or beat.status != ACTIVE
            or node.reported_status is not None
            or node.readings
        ) and take_report(
            node,
            beat,
            now_ns=now_ns,
            wall_ns=wall_ns,
            heartbeat_age_ns=now_ns - before_ns,
            received_all=path_before is path and not path.reception.missed_since(before_ns),
            stale_after_ns=self.thresholds.warning_after,
        ):
            self.version += 1
            self._notify(Change.REPORT, node)
            if note_health(node):
                self._notify(Change.HEALTH, node)
        if node.readings or node.report_bytes or node.ignored:
            self.room.note_report(node)
        if beat.status != ACTIVE or node.record.lifecycle.phase is not Phase.IN_SERVICE:
            lifecycle = after_heartbeat(node.record.lifecycle, beat.status, wall_ns, self.thresholds.sleep_max)
            self.set_lifecycle(node, lifecycle)
        return node

    def waited_on_bus(self) -> bool:
        """Whether what the bus brings now may be from a stop of this process, and have waited in a buffer since.

        It is none of now, by which a node that died meanwhile would come back, until a ping that was sent since is
        answered.
        """
        if self.clock.monotonic_ns() - self.ticked_ns > self._gap_ns:
            # The process was stopped or stalled: note the outage before anything is received after it.
            self.tick()
        return bool(self.resumed_ns) and not self._bus_proven_since(self.resumed_ns)

    def _is_behind(self, path: Path, now_ns: int) -> bool:
        """Whether a heartbeat on the bus may have waited; over HTTP, raises LeaseExpired where none may be taken."""
        waited = self.waited_on_bus()
        early = bool(self.resumed_ns) and now_ns - self.resumed_ns < self._gap_ns
        if not early and not waited:
            self.resumed_ns = 0
        # Over HTTP nothing proves that it is of now, and other registries may judge.
        over_http = path.transport is Transport.HTTP
        if now_ns > path.lease_until_ns or (over_http and early and path.lease_until_ns != NEVER):
            raise LeaseExpired
        return not over_http and (waited or not self._bus_proven_since(now_ns - self._gap_ns))

    def _bus_proven_since(self, moment_ns: int) -> bool:
        """Whether what the bus brings now was sent after that; nothing comes over one that was lost."""
        return all(source.lost or source.proof_ns >= moment_ns for source in self.paths.bus)

    def note_conflict(self, name: str) -> None:
        """Somebody else claimed the node's name and was refused."""
        node = self._nodes.get(name)
        if node is not None:
            node.conflicts += 1
            self._notify(Change.REPORT, node)

    def _sift(self, node: Node, beat: Heartbeat) -> Heartbeat:
        """The heartbeat without what cannot be of this node, or has no room; what was left out is noted and counted."""
        beat = without_impossible(beat, node.record.registration.gpu_memory_bytes)
        beat = self.room.fitting(node, beat)
        node.ignored = ()
        if isinstance(beat, PartialHeartbeat):
            node.ignored = beat.ignored
            for reason, count in beat.counts.items():
                self.readings_rejected[reason] += count
        return beat

    def _note_identity(self, node: Node, identity: str) -> None:
        now_ns = self.clock.monotonic_ns()
        if is_clone(node, identity, now_ns, self.thresholds.offline_after):
            node.conflicts += 1
            self._notify(Change.REPORT, node)

    def begin(self, path: Path, outages: list[tuple[int, int]], nodes: list[Node]) -> None:
        """Take over the outages of an earlier process, and queue its nodes among them, highest heartbeat age first."""
        reception, waiting = path.reception, deque(nodes)
        for from_ns, to_ns in outages:
            while waiting and waiting[0].last_heartbeat_ns < to_ns:
                self.queues.current[path].enqueue(waiting.popleft())
            reception.add_outage(from_ns, to_ns)
            self.queues.new_generation(path)
        for node in waiting:
            self.queues.current[path].enqueue(node)
        reception.until_ns = self.clock.monotonic_ns()

    def begun(self) -> None:
        """Every path was begun: judge who is offline for long, and apply what is due."""
        self._recently_offline.judge_all(self._nodes.values(), self.clock.monotonic_ns())
        self.disruptions.restore(self._nodes.values(), self.thresholds, self.clock.monotonic_ns())
        self.tick()

    def reconfigure(self, thresholds: Thresholds, site_rule: SiteRule, limits: Limits) -> None:
        """New rules, by which the next calls of `tick` judge every node, in turns.

        Until its turn a node stands as it was, and whatever counts nodes agrees with that.
        """
        self.room.max_nodes, self.room.max_state = limits.max_nodes, limits.max_state
        self.room.warn_if_exceeded()
        if (thresholds, site_rule) == (self.thresholds, self.totals.site_rule):
            return
        self.thresholds, self.totals.site_rule = thresholds, site_rule
        self._rules_since_ns = self.clock.monotonic_ns()
        self._gap_ns = thresholds.gap
        self._renames.tolerance_ns = thresholds.heartbeat_interval
        self.paths.reconfigure(thresholds)
        self._to_review = self.queues.missing()

    # Time

    def tick(self, at_most: int | None = None) -> bool:
        """Make the transitions whose threshold passed, forget whom it is time to forget, end what has its end.

        `at_most`: so many nodes are looked at in each step; True where more remain, for which to call again.
        """
        now_ns, wall_ns = self.clock.monotonic_ns(), self.clock.wall_ns()
        if now_ns - self.ticked_ns > self.thresholds.grace:
            self.resumed_ns = now_ns
        self.paths.process.mark_alive(now_ns)
        self.wall_time.follow(now_ns, wall_ns)
        self.ticked_ns = now_ns
        self._bus_behind = not self._bus_proven_since(now_ns - self._gap_ns)
        for path in self.paths:
            if path.reception.advance():
                path.reception.prune(self.queues.earliest_heartbeat(path, now_ns))
                self.queues.new_generation(path)
        hold = [(path.reception.blind(now_ns), path.reception.holding) for path in self.paths]
        if hold != self._hold:
            self._hold = hold
            self.version += 1
        left = self._make_transitions(now_ns, at_most)
        if left == 0:
            return True
        due = [*islice(self._ttls.pop_due(now_ns), at_most)]
        for name in due:
            self._forget_in_time(self._nodes[name], now_ns)
        over = [*islice(self._untils.pop_due(wall_ns), at_most)]
        for name in over:
            node = self._nodes[name]
            if node.status is Status.ACTIVE:
                self.set_lifecycle(node, IN_SERVICE)
            else:
                self.version += 1
                self._notify(Change.LIFECYCLE, node)
        left = self._recently_offline.age(now_ns, left)
        left = self.disruptions.judge(self.thresholds, now_ns, left)
        self._expire_tombstones(now_ns)
        return left == 0 or at_most in {len(due), len(over)}

    def _make_transitions(self, now_ns: int, left: int | None) -> int | None:
        """By new rules and by time, `left` at most; how many more may be made (None: any number)."""
        left = self._review(now_ns, left)
        for queue in self.queues if left != 0 else ():
            left = self._apply_thresholds(queue, left)
            if left == 0:
                break
        return left

    def _review(self, now_ns: int, left: int | None = None) -> int | None:
        """Judge nodes that are missing, `left` at most, by new rules where those are milder; how many more may be.

        The latest heartbeat comes first, and each goes to the front of its new queue: all queues stay in order. Where
        the rules are stricter, the fronts of the queues say so.
        """
        while self._to_review is not None and left != 0:
            node = next(self._to_review, None)
            if node is None:
                self._to_review = None
                self.disruptions.end_recovered()
            elif self._nodes.get(node.name) is node:
                status = self.thresholds.status(self.counted_age_ns(node))
                if status is not node.status and Status.OFFLINE is not status and node.status is not Status.ACTIVE:
                    # Active as of the heartbeat that it rests on: no other registry may take it for a new one.
                    self.set_status(node, status, node.last_heartbeat_ns if status is Status.ACTIVE else now_ns)
                    Queue.to_front(node)
                self._recently_offline.review(node, now_ns)
                left = None if left is None else left - 1
        return left

    def _apply_thresholds(self, queue: Queue, left: int | None = None) -> int | None:
        """Make the queue's transitions, `left` at most; how many more may be made (None: any number)."""
        reception, limits = queue.path.reception, self.thresholds
        while (node := queue.front()) is not None:
            counted_age_ns = reception.counted_age_ns(node.last_heartbeat_ns)
            if queue.status is Status.ACTIVE and counted_age_ns >= limits.warning_after:
                passed_ns = reception.until_ns - (counted_age_ns - limits.warning_after)
                self.set_status(node, Status.WARNING, max(passed_ns, self._rules_since_ns))
            elif queue.status is Status.WARNING and counted_age_ns > limits.offline_after:
                passed_ns = reception.until_ns - (counted_age_ns - limits.offline_after)
                self.set_status(node, Status.OFFLINE, max(passed_ns, self._rules_since_ns))
            elif queue.status is Status.OFFLINE and counted_age_ns >= limits.forget_after:
                self._forget(node)
            else:
                return left
            if left is not None:
                left -= 1
                if not left:
                    return 0
        return left

    def _forget_in_time(self, node: Node, now_ns: int) -> None:
        remaining_ns = node.facts.ttl_ns - self.counted_age_ns(node)
        if remaining_ns <= 0:
            self._forget(node)
        else:
            self._ttls.set(node.name, now_ns + max(remaining_ns, self.thresholds.tick))

    def _forget(self, node: Node) -> None:
        revision_ns = self.revision_ns(node.record.revision_ns, node.sequence_now)
        tombstone = tombstone_of(node.record, Removal.FORGOTTEN, revision_ns=revision_ns, wall_ns=self.clock.wall_ns())
        self.pending.keep(tombstone)
        self.remove(tombstone)

    def _expire_tombstones(self, now_ns: int) -> None:
        late = self._late_until_ns
        while late and (len(late) > MAX_DEPARTED or next(iter(late.values())) <= now_ns):
            del late[next(iter(late))]
        while len(self.departed) > MAX_DEPARTED:
            del self.departed[next(iter(self.departed))]
        while self.departed:
            oldest = next(iter(self.departed.values()))
            if self.mesh_time.at(now_ns) - oldest.revision_ns <= self.thresholds.forget_after:
                return
            del self.departed[oldest.name]

    def _register_implicitly(self, beat: Heartbeat, transport: Transport, *, appear: bool) -> Node:
        name = beat.node
        if self.clock.monotonic_ns() < self._late_until_ns.get(name, 0):
            raise DepartedNode(name)
        if not appear:
            raise UnknownNode(name)
        check_name(name)
        planned = self.plan(Register(Registration(name, role=beat.role), transport))
        node = self.commit(planned)
        self.pending.keep(planned.result, planned.base_ns)
        assert node is not None  # noqa: S101 - a registration leaves a node
        return node

    def _base_ns(self, name: str) -> int | None:
        if name in self.pending.records:
            return self.pending.bases.get(name)
        known = self._nodes[name].record if name in self._nodes else self.departed.get(name)
        return known.revision_ns if known else 0

    def _result(self, command: Command, node: Node | None) -> NodeRecord | Tombstone:
        known = self.departed.get(command.name)
        known_ns = known.revision_ns if known else 0
        if node is not None:
            # A tombstone must be above every transition, so that the next node of this name starts above them.
            sequence = node.sequence_now if isinstance(command, Depart) else 0
            known_ns = max(known_ns, node.record.revision_ns, sequence)
        return result_of(
            command,
            node,
            revision_ns=self.revision_ns(known_ns),
            wall_ns=self.clock.wall_ns(),
            sleep_max_ns=self.thresholds.sleep_max,
        )
