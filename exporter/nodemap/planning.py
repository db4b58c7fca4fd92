"""What a command would make of a node, worked out without touching anything."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.domain.command import Command, Depart, Register, SetGpuCount
from exporter.domain.errors import NameConflict, UnknownNode
from exporter.domain.lifecycle import after_heartbeat
from exporter.domain.node import Node, NodeRecord, Removal, Tombstone
from exporter.domain.registration import Registration, identity_of, with_gpu_count, with_held_id, with_known_gpus
from exporter.domain.status import Status
from exporter.nodemap.reports import by_somebody_else


@dataclass(frozen=True, slots=True)
class PlannedWrite:
    """A command worked out but not applied: what the store shall keep, and the record it was worked out from."""

    command: Command
    base: NodeRecord | None
    result: NodeRecord | Tombstone


def check_claim(holder: Node, registration: Registration) -> None:
    """Raise NameConflict where a living node with another `node_id` holds the name. Source: Consul's node ids."""
    held, claimed = holder.facts.node_id, registration.node_id
    if held and claimed and held != claimed and holder.status is not Status.OFFLINE:
        raise NameConflict(holder.name)


def is_heartbeat(command: Register, node: Node) -> bool:
    """Whether the registration of a known node counts as its heartbeat."""
    return command.heartbeat and not by_somebody_else(node, identity_of(command.registration))


def result_of(
    command: Command, node: Node | None, tombstone: Tombstone | None, wall_ns: int, sleep_max_ns: int
) -> NodeRecord | Tombstone:
    """The record or tombstone that the command leads to, later than whatever is known; raises UnknownNode."""
    known_ns = node.record.revision_ns if node else tombstone.at_ns if tombstone else 0
    revision_ns = max(wall_ns, known_ns + 1)
    if isinstance(command, Depart):
        return Tombstone(command.name, revision_ns, Removal.DEPARTED, node.record.registered_at_ns if node else 0)
    if node is None:
        if not isinstance(command, Register):
            raise UnknownNode(command.name)
        return NodeRecord(command.registration, wall_ns, revision_ns)
    if isinstance(command, Register):
        lifecycle = node.lifecycle
        if is_heartbeat(command, node):
            lifecycle = after_heartbeat(lifecycle, None, wall_ns, sleep_max_ns)
        registration = with_held_id(with_known_gpus(command.registration, node.facts), node.facts.node_id)
        return NodeRecord(registration, node.record.registered_at_ns, revision_ns, lifecycle)
    if isinstance(command, SetGpuCount):
        facts = with_gpu_count(node.facts, command.count)
        return NodeRecord(facts, node.record.registered_at_ns, revision_ns, node.lifecycle)
    return NodeRecord(node.facts, node.record.registered_at_ns, revision_ns, command.lifecycle)
