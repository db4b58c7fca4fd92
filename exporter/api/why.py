"""`GET /nodes/{name}/why`: how a node got its status, what comes next, and what suppresses its alerts."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from exporter.alerting.parameters import NON_PRODUCTION
from exporter.api.documents import timestamp
from exporter.api.responses import Handler, document_response, seconds
from exporter.api.service import Service
from exporter.api.suppression import Suppression
from exporter.domain.lifecycle import Phase
from exporter.domain.node import Node
from exporter.domain.reception import Reception
from exporter.domain.status import Status, Thresholds
from exporter.nodemap.nodemap import NodeMap

FORGOTTEN = "forgotten"


def explain(service: Service) -> Handler:
    """All that the status is derived from, as it stands now."""

    async def handle(request: Request) -> Response:
        node_map = service.node_map
        return document_response(_explanation(node_map, node_map.get(request.path_params["name"])))

    return handle


def _explanation(node_map: NodeMap, node: Node) -> dict[str, Any]:
    now_ns, wall_ns = node_map.clock.monotonic_ns(), node_map.clock.wall_ns()
    reception, counted_age_ns = node_map.reception_of(node), node_map.counted_age_ns(node)
    held_since_ns = node_map.held_since_ns(node, now_ns)
    age_ns = max(0, now_ns - node.last_heartbeat_ns)
    held_since = {} if held_since_ns is None else {"held_since": timestamp(node_map.wall_time.at(held_since_ns))}
    return {
        "node": node.name,
        "status": node.status,
        "status_since": timestamp(node_map.wall_time.at(node.status_since_ns)),
        "last_heartbeat": {
            "at": timestamp(node.last_seen_ns),
            "transport": node.transport,
            "age_seconds": seconds(age_ns),
        },
        "counted_age_seconds": seconds(counted_age_ns),
        "not_counted_seconds": seconds(age_ns - counted_age_ns),
        "not_counted": _not_counted(node_map, reception, node, now_ns),
        "held": held_since_ns is not None,
        **held_since,
        "next": _next(
            node_map.thresholds, reception, node, counted_age_ns, held=held_since_ns is not None, now_ns=now_ns
        ),
        "lifecycle": _lifecycle(node, wall_ns),
        "ignored": [{"field": part.field, "message": part.message} for part in node.ignored],
        "suppressed": [each.text for each in Suppression(node_map).of(node)],
        "pages": node.facts.environment not in NON_PRODUCTION,
        "thresholds": {
            "heartbeat_interval_seconds": seconds(node_map.thresholds.heartbeat_interval),
            "warning_after_seconds": seconds(node_map.thresholds.warning_after),
            "offline_after_seconds": seconds(node_map.thresholds.offline_after),
            "forget_after_seconds": seconds(_forget_after(node_map.thresholds, node)),
        },
        "timestamp": timestamp(wall_ns),
    }


def _not_counted(node_map: NodeMap, reception: Reception, node: Node, now_ns: int) -> list[dict[str, Any]]:
    """The outages since the node's last heartbeat, oldest first, each with the grace that followed it."""
    outages: list[dict[str, Any]] = [
        {
            "from": timestamp(node_map.wall_time.at(max(outage.from_ns, node.last_heartbeat_ns))),
            "to": timestamp(node_map.wall_time.at(outage.to_ns)),
            "grace_until": timestamp(node_map.wall_time.at(outage.grace_end_ns)),
        }
        for outage in reception.outages
        if outage.to_ns > node.last_heartbeat_ns
    ]
    if reception.blind(now_ns):
        outages.append({"from": timestamp(node_map.wall_time.at(max(reception.until_ns, node.last_heartbeat_ns)))})
    return outages


def _next(
    thresholds: Thresholds, reception: Reception, node: Node, counted_age_ns: int, *, held: bool, now_ns: int
) -> dict[str, Any]:
    """What the next threshold makes of the node; `in_seconds` is null while we are blind to it."""
    forget_after_ns = _forget_after(thresholds, node)
    status, at_ns = {
        Status.ACTIVE: (str(Status.WARNING), thresholds.warning_after),
        Status.WARNING: (str(Status.OFFLINE), thresholds.offline_after),
        Status.OFFLINE: (FORGOTTEN, forget_after_ns),
    }[node.status]
    if forget_after_ns < at_ns:
        status, at_ns = FORGOTTEN, forget_after_ns
    if reception.blind(now_ns):
        return {"status": status, "in_seconds": None}
    # Age is counted up to the last proof of reception, and stands still until a grace is over.
    counts_from_ns = reception.outages[-1].grace_end_ns if held else reception.until_ns
    return {"status": status, "in_seconds": seconds(max(0, at_ns - counted_age_ns + counts_from_ns - now_ns))}


def _lifecycle(node: Node, wall_ns: int) -> dict[str, Any]:
    lifecycle = node.lifecycle
    if lifecycle.phase is Phase.IN_SERVICE:
        return {"phase": lifecycle.phase}
    return {
        "phase": lifecycle.phase,
        "reason": lifecycle.reason,
        "until": timestamp(lifecycle.until_ns),
        "set_by": lifecycle.by,
        "overdue": lifecycle.overdue(wall_ns),
    }


def _forget_after(thresholds: Thresholds, node: Node) -> int:
    return node.facts.ttl_ns or thresholds.forget_after
