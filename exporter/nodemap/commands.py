"""Commands on the node map: each is planned, saved by the caller, and then committed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.domain.command import Command, Depart, Register
from exporter.domain.errors import Superseded, UnknownNode
from exporter.domain.node import Node, NodeRecord, Tombstone
from exporter.domain.registration import identity_of
from exporter.nodemap.planning import PlannedWrite, check_claim, is_heartbeat, result_of
from exporter.nodemap.room import Growth

if TYPE_CHECKING:
    from exporter.nodemap.nodemap import NodeMap

SAME_MOMENT_NS = 1_000
"""Revisions that date from one moment count up by one: what one sender said in a row is no more than this apart."""


class Commands:
    """Works commands out against the map, and applies them."""

    def __init__(self, node_map: NodeMap) -> None:
        self._node_map = node_map

    def plan(self, command: Command, ahead: Growth | None = None) -> PlannedWrite:
        """Work a command out against the map as it is, and `ahead`, by which earlier plans let it grow: this one's is
        added. Raises NameConflict, NodeLimit, StateLimit, UnknownNode or Superseded.
        """  # noqa: D205 - one sentence
        node_map = self._node_map
        node = node_map.find(command.name)
        if node is None:
            if not isinstance(command, Register):
                raise UnknownNode(command.name)
        elif isinstance(command, Register):
            check_claim(node, command.registration)
        result = self._result(command, node)
        if self._is_superseded(command, node):
            if node is None or isinstance(result, Tombstone) or result.registration != node.facts:
                raise Superseded(command.name)
            result = node.record  # It says what stands: the store answers whether it still does.
        if isinstance(command, Register) and isinstance(result, NodeRecord):
            node_map.room.reserve(len(node_map), node.facts if node else None, result.registration, ahead or Growth())
        return PlannedWrite(command, node.record if node else None, result, self._base_ns(command.name, node))

    def commit(self, planned: PlannedWrite) -> Node | None:
        """Apply what was planned, now that it is durable; the node, or None where it is gone."""
        node_map, command, result = self._node_map, planned.command, planned.result
        node = node_map.find(command.name)
        if (node.record if node else None) is not planned.base:
            # The node changed while the store wrote: the command is worked out again, for the next batch.
            if self._is_superseded(command, node):
                raise Superseded(command.name)
            result = self._result(command, node)
            node_map.pending.keep(result, planned.result.revision_ns)
        else:
            node_map.pending.forget_record(command.name)
        if isinstance(result, Tombstone):
            node_map.remove(result)
            return None
        if node is None or result is not node.record:
            node = node_map.put(result)
        if isinstance(command, Register) and is_heartbeat(command, node):
            node_map.note_identity(node, identity_of(command.registration))
            clock, path = node_map.clock, node_map.paths[command.transport]
            node_map.record_heartbeat(node, clock.monotonic_ns(), clock.wall_ns(), path)
        return node

    def _base_ns(self, name: str, node: Node | None) -> int | None:
        pending = self._node_map.pending
        if name in pending.records:
            return pending.bases.get(name)
        known = node.record if node else self._node_map.departed.get(name)
        return known.revision_ns if known else 0

    def _is_superseded(self, command: Command, node: Node | None) -> bool:
        """Whether anything was written of the node since the command may have been sent.

        Nothing counts that waited with it: it dates from the same moment.
        """
        since_ns = _since_ns(command)
        known = node.record if node else self._node_map.departed.get(command.name)
        return since_ns is not None and known is not None and known.revision_ns > since_ns + SAME_MOMENT_NS

    def _result(self, command: Command, node: Node | None) -> NodeRecord | Tombstone:
        node_map = self._node_map
        known = node_map.departed.get(command.name)
        known_ns = known.revision_ns if known else 0
        since_ns = _since_ns(command)
        if node is not None:
            # A tombstone must be above every transition, so that the next node of this name starts above them.
            sequence = node.sequence_now if isinstance(command, Depart) else 0
            known_ns = max(known_ns, node.record.revision_ns, sequence)
        return result_of(
            command,
            node,
            revision_ns=node_map.revision_ns(known_ns) if since_ns is None else max(since_ns, known_ns + 1),
            wall_ns=node_map.clock.wall_ns(),
            sleep_max_ns=node_map.thresholds.sleep_max,
        )


def _since_ns(command: Command) -> int | None:
    return command.since_ns if isinstance(command, Register | Depart) else None
