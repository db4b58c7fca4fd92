"""What each call takes and answers, beside what its route says: for `GET /openapi.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from exporter.api import auditing, discovery, join, metrics, nodes, queries, transitions
from exporter.api.alerts import Alerts
from exporter.api.heartbeats import HEARTBEAT, HEARTBEATS, MAX_TOGETHER
from exporter.api.lifecycle import Leave
from exporter.api.listing import FREE_VRAM
from exporter.api.meshhealth import MeshHealth
from exporter.api.registration import GpusAccepted
from exporter.client import documents
from exporter.domain.heartbeat import Heartbeat
from exporter.domain.registration import RegistrationBody
from exporter.domain.status import Status
from exporter.domain.text import MAX_TEXT

HTML, TEXT, SVG, STREAM = "text/html", "text/plain", "image/svg+xml", "text/event-stream"
NAME_PATTERN = r"^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$"
Schema = Mapping[str, Any]


def _whole(least: int, most: int, default: int | None = None) -> Schema:
    schema = {"type": "integer", "minimum": least, "maximum": most}
    return schema if default is None else {**schema, "default": default}


_NAME: Schema = {"type": "string", "pattern": NAME_PATTERN}
_TEXT: Schema = {"type": "string", "maxLength": MAX_TEXT}
_SINCE: Schema = {"type": "string", "description": "A duration such as 24h, or a time, within the last 7 days"}
FILTERS: Mapping[str, Schema] = {
    "role": _NAME,
    "status": {"type": "string", "enum": [str(status) for status in Status]},
    "gpu": {"type": "boolean"},
    "environment": _TEXT,
    "site": _TEXT,
    "vpn_ip": {"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]},
    "min_free_vram_gb": {"type": "number", "minimum": 0, "maximum": queries.MAX_COUNT},
    "min_gpus": _whole(0, queries.MAX_COUNT),
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. `answers`, by status: a type (of JSON), media types, or None for no body."""

    summary: str
    answers: Mapping[int, Any]
    query: Mapping[str, Schema] = field(default_factory=dict)
    body: Any = None
    body_required: bool = False
    refusals: tuple[int, ...] = ()
    """Statuses of problems, beside those of every call of its kind."""


def _leave(what: str) -> Operation:
    return Operation(what, {200: documents.Node}, body=Leave)


_NODES: Mapping[str, Schema] = {
    **FILTERS,
    "sort": {"type": "string", "enum": [FREE_VRAM]},
    "limit": _whole(1, queries.MAX_COUNT),
    "after": _NAME,
}
_BACK = "Put the node back in service, if this is what keeps it out"
METRICS = "/metrics"
"""Stands for `web.telemetry_path`."""
OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("POST", "/nodes/register"): Operation(
        "Register a node, or update its registration",
        {200: documents.Registered, 201: documents.Registered},
        {"heartbeat": {"type": "boolean", "default": True}},
        RegistrationBody,
        body_required=True,
        refusals=(409, 410),
    ),
    ("POST", HEARTBEAT): Operation(
        "A node's heartbeat", {200: documents.Accepted, 204: None}, body=Heartbeat, refusals=(410,)
    ),
    ("POST", HEARTBEATS): Operation(
        f"Up to {MAX_TOGETHER} heartbeats at once, each with its node",
        {200: documents.HeartbeatsAccepted},
        body=list[Heartbeat],
        body_required=True,
    ),
    ("GET", "/nodes"): Operation("All nodes that pass the filters", {200: documents.NodePage, 304: None}, _NODES),
    ("GET", "/nodes/{name}"): Operation("A node's document", {200: documents.Node}),
    ("DELETE", "/nodes/{name}"): Operation("Deregister a node: a planned leave, never an alert", {204: None}),
    ("POST", "/nodes/{name}/accept"): Operation(
        "What the node has now, or so many GPUs, is what it should have",
        {200: documents.Node},
        body=GpusAccepted,
        refusals=(409,),
    ),
    ("GET", "/nodes/{name}/transitions"): Operation(
        "A node's transitions, newest first",
        {200: documents.NodeTransitions},
        {"limit": _whole(1, nodes.MAX_TRANSITIONS, nodes.DEFAULT_TRANSITIONS)},
    ),
    ("GET", "/nodes/{name}/why"): Operation("What the node's status rests on", {200: documents.Why}),
    ("PUT", "/nodes/{name}/maintenance"): _leave("Take the node into maintenance"),
    ("DELETE", "/nodes/{name}/maintenance"): Operation(_BACK, {200: documents.Node}),
    ("PUT", "/nodes/{name}/drain"): _leave("Drain the node"),
    ("DELETE", "/nodes/{name}/drain"): Operation(_BACK, {200: documents.Node}),
    ("GET", "/audit"): Operation(
        "Who changed what, newest first",
        {200: documents.AuditLog},
        {"limit": _whole(1, auditing.MAX_LIMIT, auditing.DEFAULT_LIMIT), "node": _NAME, "since": _SINCE},
    ),
    ("GET", "/transitions"): Operation(
        "All nodes' transitions and departures, newest first",
        {200: documents.Recent},
        {"since": _SINCE, "limit": _whole(1, transitions.MAX_LIMIT, transitions.DEFAULT_LIMIT)},
    ),
    ("GET", "/events"): Operation("What happens, as server-sent events", {200: (STREAM,)}, FILTERS),
    ("GET", "/topology"): Operation("Nodes and their connections", {200: documents.Topology}),
    ("GET", "/stats"): Operation("Sums over all nodes", {200: documents.Stats}),
    ("GET", "/mesh"): Operation("Whether the mesh is healthy, and what is wrong", {200: MeshHealth}),
    ("GET", "/alerts"): Operation("The alerts that fire in Prometheus", {200: Alerts}),
    ("GET", "/sd/prometheus"): Operation(
        "Nodes as Prometheus' targets",
        {200: list[documents.TargetGroup]},
        {**FILTERS, "port": _whole(1, discovery.MAX_PORT, discovery.DEFAULT_PORT)},
    ),
    ("GET", METRICS): Operation(
        "All metrics",
        {200: (metrics.TEXT, metrics.OPEN_METRICS)},
        {"name[]": {"type": "array", "items": {"type": "string"}, "description": "Names of samples"}},
    ),
    ("GET", "/badge/mesh.svg"): Operation("The mesh's state as a picture", {200: (SVG,)}),
    ("GET", "/badge/{name}.svg"): Operation("A node's status as a picture", {200: (SVG,), 404: (SVG,)}),
    ("GET", "/health"): Operation("How the registry is", {200: documents.Health}),
    ("GET", "/-/healthy"): Operation("The process serves", {200: (TEXT,)}),
    ("GET", "/-/ready"): Operation("The node map is loaded", {200: (TEXT,)}, refusals=(503,)),
    ("POST", "/-/reload"): Operation("Take the changed configuration", {200: None}, refusals=(500,)),
    ("GET", join.JOIN): Operation("The script that makes a machine a node", {200: ("text/x-shellscript",)}),
    ("GET", join.AGENT): Operation("The agent's zipapp", {200: ("application/zip",), 304: None}),
    ("GET", "/openapi.json"): Operation("This document", {200: dict[str, Any]}),
    ("GET", "/"): Operation("The status page", {200: (HTML,), 304: None}),
    ("GET", "/ui/nodes/{name}"): Operation("A node's own page", {200: (HTML,), 304: None, 404: (HTML,)}),
    ("GET", "/ui/session"): Operation("What the status page has to know", {200: documents.Session}),
    ("GET", "/ui/{file}"): Operation(
        "A file of the status page", {200: ("text/javascript", "text/css", HTML, SVG), 304: None}
    ),
}
