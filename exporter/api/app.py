"""The table of contents of the REST interface: which path is answered by what."""

from __future__ import annotations

from starlette.routing import Route
from starlette.types import ASGIApp

from exporter.api import (
    alerts,
    auditing,
    badges,
    discovery,
    events,
    health,
    join,
    lifecycle,
    metrics,
    nodes,
    openapi,
    overview,
    registration,
    transitions,
    ui,
    why,
)
from exporter.api.bodies import LargeBodies
from exporter.api.heartbeats import HEARTBEAT, HEARTBEATS, TakeHeartbeat, take_heartbeats
from exporter.api.meshhealth import SharedMeshHealth
from exporter.api.middleware import Middleware
from exporter.api.renderings import Renderings
from exporter.api.responses import Handler, HandlerApp
from exporter.api.service import Service
from exporter.domain.lifecycle import Phase


def create_app(service: Service) -> ASGIApp:
    """The REST interface to this registry, as an ASGI application."""
    bodies = LargeBodies()
    take_heartbeat = TakeHeartbeat(service, bodies)
    # Scrapes do not wait for those who list nodes, nor for those who choose samples or targets.
    listings, choices, scrapes = (Renderings(at_once, service.telemetry.refuse) for at_once in (1, 1, 2))
    mesh_health = SharedMeshHealth(service)
    files = ui.PageFiles()
    routes = [
        _route("/", ui.page(files)),
        _route("/ui/session", ui.session(service)),
        _route("/ui/nodes/{name}", ui.node_page(files, service)),
        _route("/ui/{file}", ui.asset(files)),
        _route("/mesh", badges.show_mesh(mesh_health)),
        _route("/alerts", alerts.show_alerts(service)),
        _route("/badge/mesh.svg", badges.mesh_badge(service, mesh_health)),
        _route("/badge/{name}.svg", badges.node_badge(service)),
        _route("/nodes/register", registration.register(service), method="POST"),
        Route(HEARTBEAT, take_heartbeat, methods=["POST"]),
        _route(HEARTBEATS, take_heartbeats(service), method="POST"),
        _route("/nodes", nodes.list_nodes(service, listings)),
        _route("/nodes/{name}", nodes.show_node(service)),
        _route("/nodes/{name}", registration.depart(service), method="DELETE"),
        _route("/nodes/{name}/accept", registration.accept(service), method="POST"),
        _route("/nodes/{name}/transitions", nodes.list_transitions(service)),
        _route("/nodes/{name}/why", why.explain(service)),
        *(
            route
            for path, phase in (("maintenance", Phase.MAINTENANCE), ("drain", Phase.DRAINING))
            for route in (
                _route(f"/nodes/{{name}}/{path}", lifecycle.take_out(service, phase), method="PUT"),
                _route(f"/nodes/{{name}}/{path}", lifecycle.put_back(service, phase), method="DELETE"),
            )
        ),
        _route("/audit", auditing.list_entries(service, listings)),
        _route("/transitions", transitions.list_recent(service, listings)),
        _route(events.EVENTS, events.follow(service)),
        _route("/topology", overview.show_topology(service, listings)),
        _route("/stats", overview.show_stats(service)),
        _route("/sd/prometheus", discovery.prometheus_targets(service, choices)),
        _route(service.config.web.telemetry_path, metrics.scrape(service, scrapes, choices)),
        _route(join.JOIN, join.show_script),
        _route(join.AGENT, join.serve_agent()),
        _route("/health", health.show_health(service)),
        _route("/-/healthy", health.is_healthy(service)),
        _route("/-/ready", health.is_ready(service)),
        _route("/-/reload", health.reload(service), method="POST"),
    ]
    routes.append(_route(openapi.PATH, openapi.show_schema(routes, service.config.web.telemetry_path)))
    return Middleware(service, routes, take_heartbeat, bodies)


def _route(path: str, handler: Handler, method: str = "GET") -> Route:
    return Route(path, HandlerApp(handler), methods=[method])
