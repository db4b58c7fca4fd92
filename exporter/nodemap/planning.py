"""What a command would make of a node, worked out without touching anything."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace

from exporter.domain.command import Command, Depart, Register, SetGpuCount
from exporter.domain.errors import NameConflict, UnknownNode
from exporter.domain.lifecycle import after_heartbeat
from exporter.domain.node import Node, NodeRecord, Removal, Tombstone
from exporter.domain.registration import Registration, identity_of, with_gpu_count, with_held_id, with_known_gpus
from exporter.domain.status import Status
from exporter.nodemap.reports import by_somebody_else


@dataclass(frozen=True, slots=True)
class PlannedWrite:
    """A command worked out but not applied: what the store has to keep, and the record it was worked out from."""

    command: Command
    base: NodeRecord | None
    result: NodeRecord | Tombstone
    base_ns: int | None
    """The latest revision that the store has of it, as far as we know; None: it may have lost that."""


def check_claim(holder: Node, registration: Registration) -> None:
    """Raise NameConflict where a living node with another `node_id` holds the name. Source: Consul's node ids."""
    held, claimed = holder.facts.node_id, registration.node_id
    if held and claimed and held != claimed and holder.status is not Status.OFFLINE:
        raise NameConflict(holder.name)


def is_heartbeat(command: Register, node: Node) -> bool:
    """Whether the registration of a known node counts as its heartbeat."""
    return command.heartbeat and not by_somebody_else(node, identity_of(command.registration))


def result_of(
    command: Command, node: Node | None, *, revision_ns: int, wall_ns: int, sleep_max_ns: int
) -> NodeRecord | Tombstone:
    """The record or tombstone that the command leads to; raises UnknownNode.

    `revision_ns`: later than whatever is known of the name.
    """
    if isinstance(command, Depart):
        if node is None:
            return Tombstone(command.name, wall_ns, Removal.DEPARTED, revision_ns=revision_ns)
        return tombstone_of(node.record, Removal.DEPARTED, revision_ns=revision_ns, wall_ns=wall_ns)
    if node is None:
        if not isinstance(command, Register):
            raise UnknownNode(command.name)
        return NodeRecord(command.registration, wall_ns, revision_ns, epoch=revision_ns)
    if isinstance(command, Register):
        lifecycle = node.lifecycle
        if is_heartbeat(command, node):
            lifecycle = after_heartbeat(lifecycle, None, wall_ns, sleep_max_ns)
        registration = with_held_id(with_known_gpus(command.registration, node.facts), node.facts.node_id)
        return replace(node.record, registration=registration, revision_ns=revision_ns, lifecycle=lifecycle)
    if isinstance(command, SetGpuCount):
        facts = with_gpu_count(node.facts, command.count)
        return replace(node.record, registration=facts, revision_ns=revision_ns)
    # Where nothing changes the same record is written, and the store answers whether it still stands.
    applies = command.instead_of in {None, node.lifecycle.phase}
    return replace(node.record, revision_ns=revision_ns, lifecycle=command.lifecycle) if applies else node.record


def tombstone_of(record: NodeRecord, removal: Removal, *, revision_ns: int, wall_ns: int) -> Tombstone:
    """What stays of a node that is gone."""
    return Tombstone(record.name, wall_ns, removal, record.registered_at_ns, revision_ns, record.epoch)
