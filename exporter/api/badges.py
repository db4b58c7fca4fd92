"""`GET /mesh` and the badges: is the mesh healthy, for pages and for pictures of one line."""

from __future__ import annotations

from functools import lru_cache
from html import escape

from starlette.requests import Request
from starlette.responses import Response

from exporter.api.meshhealth import MeshState, SharedMeshHealth
from exporter.api.responses import Handler, document_response
from exporter.api.service import Service
from exporter.domain.errors import StillLoading
from exporter.domain.lifecycle import Phase
from exporter.domain.status import Status

CHARACTER, PADDING, HEIGHT = 6.6, 12, 20
"""Pixels: of a letter at 11 px on average, beside a text, and of the badge."""
MAX_SHOWN = 40
REMEMBERED = 256
"""Pictures, which are drawn once while nothing changes."""
GREY, PLANNED = "#59636e", "#5b53c0"
COLOURS = {
    MeshState.EMPTY: GREY,
    MeshState.HEALTHY: "#1a7f37",
    MeshState.WARNING: "#9a6700",
    MeshState.OFFLINE: "#c0303a",
    MeshState.SITE_DISRUPTED: "#c0303a",
    MeshState.MESH_SUSPECT: PLANNED,
    MeshState.NOT_RECEIVING: PLANNED,
}
STATUSES = {Status.ACTIVE: MeshState.HEALTHY, Status.WARNING: MeshState.WARNING, Status.OFFLINE: MeshState.OFFLINE}
BADGE = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" role="img" '
    'aria-label="{label}: {value}">'
    '<title>{label}: {value}</title><clipPath id="r"><rect width="{width}" height="{height}" rx="4"/></clipPath>'
    '<g clip-path="url(#r)"><rect width="{left}" height="{height}" fill="#2b3440"/>'
    '<rect x="{left}" width="{right}" height="{height}" fill="{colour}"/></g>'
    '<g fill="#fff" text-anchor="middle" font-family="system-ui,Verdana,sans-serif" font-size="11">'
    '<text x="{left_middle}" y="14">{label}</text><text x="{right_middle}" y="14">{value}</text></g></svg>\n'
)
HEADERS = {
    "Cache-Control": "no-cache, max-age=0",  # proxies of images would show yesterday's status
    "Content-Security-Policy": "default-src 'none'",
}


def show_mesh(health: SharedMeshHealth) -> Handler:
    """Is the mesh healthy, and what is wrong: the worst first."""

    async def handle(_: Request) -> Response:
        return document_response(await health.get())

    return handle


def mesh_badge(service: Service, health: SharedMeshHealth) -> Handler:
    """The mesh's state as a picture; it is answered while we load, too, since pages show it as it is."""

    async def handle(_: Request) -> Response:
        try:
            state = (await health.get()).state
        except StillLoading:
            return _badge("mesh", "loading", GREY)
        active, total = service.node_map.totals.statuses[Status.ACTIVE], len(service.node_map)
        word = {MeshState.EMPTY: "no nodes", MeshState.HEALTHY: "healthy"}.get(state, state.replace("_", " "))
        return _badge("mesh", f"{word} {active}/{total}" if total else word, COLOURS[state])

    return handle


def node_badge(service: Service) -> Handler:
    """A node's status as a picture; 404, and still a picture, for a name that is not registered."""

    async def handle(request: Request) -> Response:
        name = request.path_params["name"]
        try:
            node = service.node_map.find(name)
        except StillLoading:
            return _badge(name, "loading", GREY)
        if node is None:
            return _badge(name, "unknown", GREY, 404)
        if node.lifecycle.phase is not Phase.IN_SERVICE:
            return _badge(name, f"{node.status}, {node.lifecycle.phase}", PLANNED)
        return _badge(name, node.status, COLOURS[STATUSES[node.status]])

    return handle


def _badge(label: str, value: str, colour: str, status: int = 200) -> Response:
    return Response(_picture(label[: 2 * MAX_SHOWN], value, colour), status, HEADERS, "image/svg+xml")


@lru_cache(REMEMBERED)
def _picture(label: str, value: str, colour: str) -> str:
    label = "".join(letter if letter.isprintable() else "?" for letter in label)
    if len(label) > MAX_SHOWN:
        label = f"{label[: MAX_SHOWN - 1]}…"
    left, right = (round(len(text) * CHARACTER) + PADDING for text in (label, value))
    return BADGE.format(
        width=left + right,
        height=HEIGHT,
        left=left,
        right=right,
        left_middle=left / 2,
        right_middle=left + right / 2,
        label=escape(label),
        value=escape(value),
        colour=colour,
    )
