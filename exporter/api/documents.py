"""A node's document: the seed's keys in the seed's order, then ours; what does not apply is left out."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from exporter.api.responses import encode
from exporter.api.suppression import Suppression
from exporter.domain.clock import SECOND
from exporter.domain.heartbeat import GpuReading
from exporter.domain.lifecycle import Phase
from exporter.domain.node import Node
from exporter.domain.status import Status, Transport
from exporter.domain.timestamp import format_timestamp
from exporter.nodemap.nodemap import NodeMap


class AgentDocument(msgspec.Struct, omit_defaults=True, gc=False):
    """The program that sends for a node."""

    name: str
    version: str = ""


class NodeDocument(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """A node as every answer shows it; `capabilities` and `metadata` are the node's own words, verbatim."""

    name: str
    role: str
    vpn_ip: str = ""
    public_ip: str = ""
    status: Status
    last_seen: str
    capabilities: msgspec.Raw
    registered_at: str
    metadata: msgspec.Raw
    lifecycle: Phase
    transport: Transport
    lifecycle_reason: str = ""
    lifecycle_until: str = ""
    held: bool = False
    held_since: str = ""
    suppressed_by: tuple[str, ...] = ()
    """What stands for the alert of the node's status: names of alerts, or the name that its machine has now."""
    reported_status: str | None = None
    gpus: tuple[GpuReading, ...] = ()
    agent: AgentDocument | None = None


class Renderer:
    """Renders nodes as they stand at one moment: make a new one after every pause."""

    def __init__(self, node_map: NodeMap) -> None:
        self._node_map = node_map
        self._now_ns = node_map.clock.monotonic_ns()
        self._anything_held = node_map.anything_held(self._now_ns)
        self._suppression = Suppression(node_map)

    def document(self, node: Node) -> bytes:
        """The node's document, as JSON."""
        facts, record, lifecycle = node.facts, node.record, node.record.lifecycle
        document = NodeDocument(
            name=facts.name,
            role=facts.role,
            vpn_ip=facts.vpn_ip,
            public_ip=facts.public_ip,
            status=node.status,
            last_seen=timestamp(node.last_seen_ns),
            capabilities=facts.capabilities,
            registered_at=timestamp(record.registered_at_ns),
            metadata=facts.metadata,
            lifecycle=lifecycle.phase,
            transport=node.transport,
            reported_status=node.reported_status,
            gpus=node.readings,
        )
        if node.status is not Status.ACTIVE:
            document.suppressed_by = tuple(each.by for each in self._suppression.standing_for(node))
        if facts.agent is not None:
            document.agent = AgentDocument(facts.agent.name, facts.agent.version)
        if lifecycle.phase is not Phase.IN_SERVICE:
            document.lifecycle_reason = lifecycle.reason
            document.lifecycle_until = timestamp(lifecycle.until_ns)
        if self._anything_held:
            held_since_ns = self._node_map.held_since_ns(node, self._now_ns)
            if held_since_ns is not None:
                document.held = True
                document.held_since = timestamp(self._node_map.wall_time.at(held_since_ns))
        return encode(document)


def timestamp(wall_ns: int) -> str:
    """The time as the API writes it. Thousands of heartbeats arrive within one second, so seconds are remembered."""
    return _of_second(wall_ns // SECOND)


@lru_cache(maxsize=8192)
def _of_second(second: int) -> str:
    return format_timestamp(second * SECOND)
