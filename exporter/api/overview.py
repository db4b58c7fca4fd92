"""The mesh as a whole: its connections and its totals."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response

from exporter.api.documents import timestamp
from exporter.api.renderings import Renderings, SharedResponse, collect
from exporter.api.responses import JSON, Handler, document_response, encode, head_response, whole
from exporter.api.service import Service
from exporter.domain.node import Node
from exporter.domain.registration import GIB
from exporter.domain.status import Status
from exporter.domain.topology import EdgeRule
from exporter.exposition.topology import Walk
from exporter.exposition.yielder import Yielder
from exporter.nodemap.nodemap import NodeMap

MAX_CONNECTIONS = 500_000
"""Rules multiply nodes: above this the rest is only counted, so that no reader can keep us busy without end."""
CHUNK = 200
CONNECTION = '{"source":"%s","target":"%s","type":"%s"}%.0s'
"""Names and types need no escape in JSON. A walk's lines end in a sample's value, which has no place here."""

Rules = tuple[EdgeRule, ...]


def show_topology(service: Service, renderings: Renderings) -> Handler:
    """Nodes and their connections, as a graph library takes them."""

    async def handle(request: Request) -> Response:
        node_map = service.node_map
        if request.method == "HEAD":
            return head_response(media_type=JSON)
        rules = service.config.topology.rules
        body = await renderings.get(("topology", node_map.version, rules), lambda: collect(_topology(node_map, rules)))
        return SharedResponse(body, media_type=JSON)

    return handle


async def _topology(node_map: NodeMap, rules: Rules) -> AsyncIterator[bytes]:
    yielder = Yielder()
    nodes = list(node_map.nodes())
    yield b'{"nodes":['
    for start in range(0, len(nodes), CHUNK):
        vertices = encode([_vertex(node) for node in nodes[start : start + CHUNK]])
        yield (b"," if start else b"") + vertices[1:-1]
        await yielder.maybe_yield()
    walk = Walk(CONNECTION, rules, MAX_CONNECTIONS, yielder)
    await walk.go(nodes)
    yield b'],"connections":['
    for start in range(0, len(walk.lines), CHUNK):
        yield (b"," if start else b"") + ",".join(walk.lines[start : start + CHUNK]).encode()
        await yielder.maybe_yield()
    omitted = walk.total - len(walk.lines)
    closing = b',"connections_omitted":%d' % omitted if omitted else b""
    yield b']%b,"timestamp":"%b"}' % (closing, timestamp(node_map.clock.wall_ns()).encode())


def _vertex(node: Node) -> dict[str, object]:
    facts = node.facts
    vertex = {"id": facts.name, "label": facts.name, "role": facts.role, "status": node.status}
    if facts.vpn_ip:
        vertex["vpn_ip"] = facts.vpn_ip
    return {**vertex, "capabilities": facts.capabilities}


def show_stats(service: Service) -> Handler:
    """Sums over all nodes; VRAM in GB of 2^30 bytes, as registrations state it."""

    async def handle(_: Request) -> Response:
        node_map = service.node_map
        totals = node_map.totals
        return document_response(
            {
                "total_nodes": len(node_map),
                "active_nodes": totals.statuses[Status.ACTIVE],
                "warning_nodes": totals.statuses[Status.WARNING],
                "offline_nodes": totals.statuses[Status.OFFLINE],
                "nodes_by_role": totals.roles(),
                "total_gpus": totals.gpus.total(),
                "total_vram_gb": _gb(totals.gpu_memory_bytes.total()),
                "active_gpus": totals.gpus[Status.ACTIVE],
                "active_vram_gb": _gb(totals.gpu_memory_bytes[Status.ACTIVE]),
                "timestamp": timestamp(node_map.clock.wall_ns()),
            }
        )

    return handle


def _gb(size: int) -> int | float:
    return whole(round(size / GIB, 3))
