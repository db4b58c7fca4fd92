"""What time does to nodes: status thresholds, forgetting, ends of maintenance; and a review by new rules."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from exporter.domain.config import Limits
from exporter.domain.lifecycle import IN_SERVICE
from exporter.domain.node import Node, Removal
from exporter.domain.site import SiteRule
from exporter.domain.status import Status, Thresholds
from exporter.nodemap.changes import Change
from exporter.nodemap.planning import tombstone_of
from exporter.nodemap.queues import Queue

if TYPE_CHECKING:
    from exporter.nodemap.nodemap import NodeMap


class Timekeeper:
    """Makes what is due happen. Times are of the monotonic clock, the ends of lifecycles excepted."""

    def __init__(self, node_map: NodeMap) -> None:
        self._node_map = node_map
        self._rules_since_ns = 0
        """When the thresholds were changed: no transition by them was before."""
        self._to_review: Iterator[Node] | None = None
        """Nodes that new rules may bring back, as long as there are any."""
        self._hold: list[tuple[bool, bool]] = []
        """Of each path, as of the last tick: whether we are blind on it, and whether it has nodes in their grace."""

    def reconfigure(self, thresholds: Thresholds, site_rule: SiteRule, limits: Limits) -> None:
        """New rules, by which the next calls of `tick` judge every node, in turns.

        Until its turn a node stands as it was, and whatever counts nodes agrees with that.
        """
        node_map = self._node_map
        node_map.room.max_nodes, node_map.room.max_state = limits.max_nodes, limits.max_state
        node_map.room.warn_if_exceeded()
        if (thresholds, site_rule) == (node_map.thresholds, node_map.totals.site_rule):
            return
        node_map.set_rules(thresholds, site_rule)
        self._rules_since_ns = node_map.clock.monotonic_ns()
        self._to_review = node_map.queues.missing()

    def tick(self, at_most: int | None = None) -> bool:
        """Apply due transitions, forget expired nodes, end expired maintenance.

        `at_most`: so many nodes are looked at in each step; True where more remain, for which to call again.
        """
        node_map = self._node_map
        now_ns, wall_ns = node_map.clock.monotonic_ns(), node_map.clock.wall_ns()
        self._advance(now_ns, wall_ns)
        left = self._make_transitions(now_ns, at_most)
        if left == 0:
            return True
        expired = [*islice(node_map.deadlines.ttls.pop_due(now_ns), at_most)]
        for name in expired:
            self._forget_in_time(node_map.get(name), now_ns)
        ended = [*islice(node_map.deadlines.lifecycle_ends.pop_due(wall_ns), at_most)]
        for name in ended:
            self._end_lifecycle(node_map.get(name))
        left = node_map.aggregates.tick(now_ns, left)
        node_map.tombstones.expire(now_ns, node_map.thresholds.forget_after)
        return left == 0 or at_most in {len(expired), len(ended)}

    def _advance(self, now_ns: int, wall_ns: int) -> None:
        """Bring clocks, receptions and what is held up to now."""
        node_map = self._node_map
        node_map.paths.process.mark_alive(now_ns)
        node_map.wall_time.follow(now_ns, wall_ns)
        node_map.freshness.tick(now_ns)
        self.take_proofs()
        hold = [(path.reception.blind(now_ns), path.reception.holding) for path in node_map.paths]
        if hold != self._hold:
            self._hold = hold
            node_map.version += 1

    def take_proofs(self) -> None:
        """Take in what was received until when. Call it at each proof: two that are taken together look like a gap."""
        node_map = self._node_map
        node_map.paths.note_past()
        for path in node_map.paths:
            if path.reception.advance():
                path.reception.prune(node_map.queues.earliest_heartbeat(path, node_map.clock.monotonic_ns()))
                node_map.queues.new_generation(path)

    def _make_transitions(self, now_ns: int, left: int | None) -> int | None:
        """By new rules and by time, `left` at most; how many more may be made (None: any number)."""
        left = self._review(now_ns, left)
        for queue in self._node_map.queues if left != 0 else ():
            left = self._apply_thresholds(queue, left)
            if left == 0:
                break
        return left

    def _review(self, now_ns: int, left: int | None = None) -> int | None:
        """Judge nodes that are missing, `left` at most, by new rules where those are milder; how many more may be.

        The latest heartbeat comes first, and each goes to the front of its new queue: all queues stay in order. Where
        the rules are stricter, the fronts of the queues show it.
        """
        node_map = self._node_map
        while self._to_review is not None and left != 0:
            node = next(self._to_review, None)
            if node is None:
                self._to_review = None
                node_map.aggregates.end_review()
            elif node_map.find(node.name) is node:
                status = node_map.thresholds.status(node_map.counted_age_ns(node))
                if status is not node.status and Status.OFFLINE is not status and node.status is not Status.ACTIVE:
                    # Active since its last heartbeat: other registries must not take this for a new heartbeat.
                    node_map.set_status(node, status, node.last_heartbeat_ns if status is Status.ACTIVE else now_ns)
                    Queue.to_front(node)
                node_map.aggregates.review(node, now_ns)
                left = None if left is None else left - 1
        return left

    def _apply_thresholds(self, queue: Queue, left: int | None = None) -> int | None:
        """Make the queue's transitions, `left` at most; how many more may be made (None: any number)."""
        node_map, reception, limits = self._node_map, queue.path.reception, self._node_map.thresholds
        while (node := queue.front()) is not None:
            counted_age_ns = reception.counted_age_ns(node.last_heartbeat_ns)
            if queue.status is Status.ACTIVE and counted_age_ns >= limits.warning_after:
                passed_ns = reception.until_ns - (counted_age_ns - limits.warning_after)
                node_map.set_status(node, Status.WARNING, max(passed_ns, self._rules_since_ns))
            elif queue.status is Status.WARNING and counted_age_ns > limits.offline_after:
                passed_ns = reception.until_ns - (counted_age_ns - limits.offline_after)
                node_map.set_status(node, Status.OFFLINE, max(passed_ns, self._rules_since_ns))
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
        """Forget the node if its `ttl` has passed; else look again when it may have."""
        node_map = self._node_map
        remaining_ns = node.facts.ttl_ns - node_map.counted_age_ns(node)
        if remaining_ns <= 0:
            self._forget(node)
        else:
            node_map.deadlines.ttls.set(node.name, now_ns + max(remaining_ns, node_map.thresholds.tick))

    def _forget(self, node: Node) -> None:
        node_map = self._node_map
        revision_ns = node_map.revision_ns(node.record.revision_ns, node.sequence_now)
        wall_ns = node_map.clock.wall_ns()
        tombstone = tombstone_of(node.record, Removal.FORGOTTEN, revision_ns=revision_ns, wall_ns=wall_ns)
        node_map.pending.keep(tombstone)
        node_map.remove(tombstone)

    def _end_lifecycle(self, node: Node) -> None:
        """Its `until` has passed: a node that is not active stays in maintenance, and is overdue."""
        if node.status is Status.ACTIVE:
            self._node_map.set_lifecycle(node, IN_SERVICE)
        else:
            self._node_map.note_change(Change.LIFECYCLE, node)
