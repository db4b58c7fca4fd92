"""Nodes as Prometheus' targets. Source: Prometheus' documentation, Writing HTTP service discovery."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response

from exporter.api.queries import FILTERS, Test, integer, parse_query
from exporter.api.renderings import Renderings, SharedResponse, collect
from exporter.api.responses import JSON, Handler, encode
from exporter.api.service import Service
from exporter.domain.node import Node
from exporter.exposition.yielder import Yielder
from exporter.nodemap.nodemap import NodeMap

DEFAULT_PORT = 9100
MAX_PORT = 65_535
CHUNK = 100
"""Nodes between two looks at the time."""


def prometheus_targets(service: Service, renderings: Renderings) -> Handler:
    """Every chosen node that has an address, offline ones too: that a target is down is Prometheus' own finding."""

    async def handle(request: Request) -> Response:
        # Until the map is loaded this raises StillLoading: Prometheus keeps its targets on a 503, and drops them on a
        # list that lacks them. A list that breaks off on its way is no JSON, and so no list to it either.
        node_map = service.node_map
        query = parse_query(request.scope["query_string"], {**FILTERS, "port": integer(1, MAX_PORT)})
        port = query.pop("port", DEFAULT_PORT)
        tests = tuple(query.values())
        key = ("targets", node_map.version, request.scope["query_string"])
        body = await renderings.get(key, lambda: collect(_groups(node_map, port, tests)))
        return SharedResponse(body, media_type=JSON)

    return handle


async def _groups(node_map: NodeMap, port: int, tests: tuple[Test, ...]) -> AsyncIterator[bytes]:
    nodes = list(node_map.nodes())
    yielder, opening = Yielder(), b"["
    for start in range(0, len(nodes), CHUNK):
        chosen = [_target(node, port) for node in nodes[start : start + CHUNK] if _is_target(node, tests)]
        if chosen:
            yield opening + encode(chosen)[1:-1]
            opening = b","
        await yielder.maybe_yield()
    yield b"[]" if opening == b"[" else b"]"


def _is_target(node: Node, tests: tuple[Test, ...]) -> bool:
    return bool(node.facts.vpn_ip) and all(test(node) for test in tests)


def _target(node: Node, port: int) -> dict[str, object]:
    facts = node.facts
    host = f"[{facts.vpn_ip}]" if ":" in facts.vpn_ip else facts.vpn_ip
    return {
        "targets": [f"{host}:{port}"],
        "labels": {
            "__meta_aurora_name": facts.name,
            "__meta_aurora_role": facts.role,
            "__meta_aurora_status": node.status,
            "__meta_aurora_environment": facts.environment,
            "__meta_aurora_site": facts.site,
            "__meta_aurora_gpu_type": facts.gpu_type,
            "__meta_aurora_gpus": str(facts.gpus),
        },
    }
