"""Heartbeats that this registry receives: what each means for its node, and for what the node reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from exporter.domain.command import Register
from exporter.domain.errors import DepartedNode, LeaseExpired, Superseded, UnknownNode
from exporter.domain.heartbeat import Heartbeat, PartialHeartbeat, check_name
from exporter.domain.lifecycle import ACTIVE, Phase, after_heartbeat
from exporter.domain.node import Node
from exporter.domain.registration import Registration
from exporter.domain.status import Status, Transport
from exporter.nodemap.changes import Change
from exporter.nodemap.paths import Path
from exporter.nodemap.reports import note_health, take_report, without_impossible

if TYPE_CHECKING:
    from exporter.nodemap.nodemap import NodeMap


class HeartbeatIntake:
    """Takes heartbeats in. It runs for each of them, so what does not change is kept beside the map."""

    def __init__(self, node_map: NodeMap) -> None:
        self._node_map = node_map
        self._find = node_map.find
        self._record = node_map.record_heartbeat
        self._now_ns = node_map.clock.monotonic_ns
        self._paths = node_map.own_paths
        self._freshness = node_map.freshness
        self._wall_time = node_map.wall_time
        self._room = node_map.room

    def heartbeat(  # noqa: C901 - one sequence of steps, and a call for each would cost as much as the step
        self, beat: Heartbeat, transport: Transport, *, appear: bool = False
    ) -> Node:
        """Take in one heartbeat, received now.

        Raises UnknownNode for a name that was never registered, unless it may `appear` (then Invalid for what is no
        name, NodeLimit or StateLimit when the map is full), DepartedNode while late heartbeats of a departed node are
        ignored, and LeaseExpired when we are cut off from the other registries, or were stopped just now.
        """
        node_map, now_ns, path = self._node_map, self._now_ns(), self._paths[transport]
        uncertain = now_ns > self._freshness.settled_until_ns or now_ns > path.lease_until_ns
        behind = uncertain and self._is_behind(path, now_ns)
        node = self._find(beat.node)
        if node is None:
            node = self._register_implicitly(beat, transport, appear=appear)
        elif behind and node.status is not Status.ACTIVE and self.waited_on_bus():
            return node
        before_ns, path_before = node.last_heartbeat_ns, node.path
        if path_before is not path:
            path.admit(node, now_ns)
        elif now_ns > path.newcomers_until_ns and node in path.newcomers:
            raise LeaseExpired
        sent_ns = now_ns
        if behind:
            # It was sent after the last proof of reception, and nothing says how long after, nor what its clock was.
            sent_ns = min(max(path.reception.until_ns, before_ns), now_ns)
            beat = replace(beat, timestamp=None)
        offset_ns = self._wall_time.offset_ns
        self._record(node, sent_ns, sent_ns + offset_ns, path)
        if beat.instance and beat.instance != node.identity:
            node_map.note_identity(node, beat.instance)
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
            wall_ns=now_ns + offset_ns,
            heartbeat_age_ns=now_ns - before_ns,
            received_all=path_before is path and not path.reception.missed_since(before_ns),
            stale_after_ns=node_map.thresholds.warning_after,
        ):
            node_map.note_change(Change.REPORT, node)
            if note_health(node):
                node_map.notify(Change.HEALTH, node)
        if node.readings or node.report_bytes or node.ignored:
            self._room.note_report(node)
        if beat.status != ACTIVE or node.record.lifecycle.phase is not Phase.IN_SERVICE:
            sleep_max_ns = node_map.thresholds.sleep_max
            lifecycle = after_heartbeat(node.record.lifecycle, beat.status, now_ns + offset_ns, sleep_max_ns)
            node_map.set_lifecycle(node, lifecycle, sent_ns)
        return node

    def waited_on_bus(self) -> bool:
        """Whether what the bus brings now may be from a stop of this process, and have waited in a buffer since.

        Until a ping that was sent since then is answered, such an event is no proof that its node is alive now.
        """
        self._note_stall()
        return self._freshness.waited_on_bus()

    def waited_since_ns(self) -> int | None:
        """After when (mesh time) it was sent, where what the bus brings now may have waited; None where it is of now.

        It may, after a time longer than a gap in which the bus brought nothing: we were stopped, or it stood still.
        """
        proof_ns = self._freshness.bus_idle_since_ns()
        return None if proof_ns is None else self._node_map.mesh_time.at(proof_ns)

    def _is_behind(self, path: Path, now_ns: int) -> bool:
        self._note_stall()
        return self._freshness.is_behind(path, now_ns)

    def _note_stall(self) -> None:
        """Note an outage before anything is received after it."""
        if self._freshness.stalled():
            self._node_map.tick()

    def _register_implicitly(self, beat: Heartbeat, transport: Transport, *, appear: bool) -> Node:
        node_map, name = self._node_map, beat.node
        if node_map.tombstones.is_late(name, self._now_ns()):
            raise DepartedNode(name)
        if not appear:
            raise UnknownNode(name)
        check_name(name)
        since_ns = self.waited_since_ns() if transport is Transport.BUS else None
        try:
            planned = node_map.plan(Register(Registration(name, role=beat.role), transport, since_ns=since_ns))
        except Superseded:  # By its departure.
            raise DepartedNode(name) from None
        node = node_map.commit(planned)
        node_map.pending.keep(planned.result, planned.base_ns)
        assert node is not None  # noqa: S101 - a registration leaves a node
        return node

    def _sift(self, node: Node, beat: Heartbeat) -> Heartbeat:
        """The heartbeat without what cannot be of this node, or has no room; what was left out is noted and counted."""
        beat = without_impossible(beat, node.record.registration.gpu_memory_bytes)
        beat = self._room.fitting(node, beat)
        node.ignored = ()
        if isinstance(beat, PartialHeartbeat):
            node.ignored = beat.ignored
            for reason, count in beat.counts.items():
                self._node_map.readings_rejected[reason] += count
        return beat
