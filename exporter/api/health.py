"""How we are: for people, for load balancers, and for those who changed the configuration."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from exporter import __version__
from exporter.api.access import actor_of
from exporter.api.problems import LOADING_RETRY, Problem
from exporter.api.responses import Handler, document_response
from exporter.api.service import Service
from exporter.domain.errors import Invalid, StillLoading


def show_health(service: Service) -> Handler:
    """Always 200 while we answer at all; `degraded` says that something beside us is down."""

    async def handle(_: Request) -> Response:
        bus_up = service.event_bus_up
        try:
            nodes, loaded = len(service.node_map), True
        except StillLoading:
            nodes, loaded = 0, False
        document = {
            "status": "ok" if loaded and service.store_up and bus_up is not False else "degraded",
            "store": _up(service.store_up),
            "event_bus": "none" if bus_up is None else _up(bus_up),
            "nodes": nodes,
            "version": __version__,
            "uptime_seconds": round(service.uptime_seconds, 3),
        }
        if service.store_durable is False:
            document["store_durable"] = False
        return document_response(document)

    return handle


def is_healthy(_: Service) -> Handler:
    """The process serves."""

    async def handle(_: Request) -> Response:
        return PlainTextResponse("Aurora Node Registry is healthy.\n")

    return handle


def is_ready(service: Service) -> Handler:
    """Nodes can be asked for; not while the map is loading nor while we are stopping."""

    async def handle(_: Request) -> Response:
        if not service.ready:
            detail = "not ready: the node map is still loading, or the registry is stopping"
            raise Problem(503, detail, kind="not-ready", headers={"Retry-After": LOADING_RETRY})
        return PlainTextResponse("Aurora Node Registry is ready.\n")

    return handle


def reload(service: Service) -> Handler:
    """Take the new configuration; where it is wrong, the old one stays in force. As Prometheus has it."""

    async def handle(request: Request) -> Response:
        if not service.config.web.enable_lifecycle:
            detail = "the lifecycle API is not enabled: start with --web.enable-lifecycle, or send SIGHUP"
            raise Problem(403, detail, kind="lifecycle-disabled")
        try:
            await service.reload(actor_of(request))
        except Invalid as error:
            # The request was right, the file is not: as with Prometheus that is a fault of the server's.
            title = "The new configuration was refused, the old one stays in force"
            raise Problem(500, str(error), kind="configuration", title=title, faults=error.faults) from None
        return Response()

    return handle


def _up(up: bool) -> str:
    return "up" if up else "down"
