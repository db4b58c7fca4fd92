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
        Route("/", ui.page(files)),
        Route("/ui/session", ui.session(service)),
        Route("/ui/nodes/{name}", ui.node_page(files, service)),
        Route("/ui/{file}", ui.asset(files)),
        Route("/mesh", badges.show_mesh(mesh_health)),
        Route("/alerts", alerts.show_alerts(service)),
        Route("/badge/mesh.svg", badges.mesh_badge(service, mesh_health)),
        Route("/badge/{name}.svg", badges.node_badge(service)),
        Route("/nodes/register", registration.register(service), methods=["POST"]),
        Route(HEARTBEAT, take_heartbeat, methods=["POST"]),
        Route(HEARTBEATS, take_heartbeats(service), methods=["POST"]),
        Route("/nodes", nodes.list_nodes(service, listings)),
        Route("/nodes/{name}", nodes.show_node(service)),
        Route("/nodes/{name}", registration.depart(service), methods=["DELETE"]),
        Route("/nodes/{name}/accept", registration.accept(service), methods=["POST"]),
        Route("/nodes/{name}/transitions", nodes.list_transitions(service)),
        Route("/nodes/{name}/why", why.explain(service)),
        *(
            route
            for path, phase in (("maintenance", Phase.MAINTENANCE), ("drain", Phase.DRAINING))
            for route in (
                Route(f"/nodes/{{name}}/{path}", lifecycle.take_out(service, phase), methods=["PUT"]),
                Route(f"/nodes/{{name}}/{path}", lifecycle.put_back(service, phase), methods=["DELETE"]),
            )
        ),
        Route("/audit", auditing.list_entries(service, listings)),
        Route("/transitions", transitions.list_recent(service, listings)),
        Route(events.EVENTS, events.follow(service)),
        Route("/topology", overview.show_topology(service, listings)),
        Route("/stats", overview.show_stats(service)),
        Route("/sd/prometheus", discovery.prometheus_targets(service, choices)),
        Route(service.config.web.telemetry_path, metrics.scrape(service, scrapes, choices)),
        Route(join.JOIN, join.show_script),
        Route(join.AGENT, join.serve_agent()),
        Route("/health", health.show_health(service)),
        Route("/-/healthy", health.is_healthy(service)),
        Route("/-/ready", health.is_ready(service)),
        Route("/-/reload", health.reload(service), methods=["POST"]),
    ]
    routes.append(Route(openapi.PATH, openapi.show_schema(routes, service.config.web.telemetry_path)))
    return Middleware(service, routes, take_heartbeat, bodies)
