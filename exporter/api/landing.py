"""The page at `/`: where to go from here. Nothing from elsewhere, no script."""

from __future__ import annotations

from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from exporter import __version__
from exporter.api.responses import Handler
from exporter.api.service import Service

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Aurora Node Registry</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem; }}
dt {{ margin-top: .75rem; }}
dd {{ margin: 0; }}
</style>
</head>
<body>
<main>
<h1>Aurora Node Registry</h1>
<p>Version {version}</p>
<dl>
{links}
</dl>
</main>
</body>
</html>
"""


def landing_page(service: Service) -> Handler:
    """Links to all that a person may want to read."""
    links = (
        ("/nodes", "every node, with its status"),
        ("/topology", "who reaches whom"),
        ("/stats", "what the mesh adds up to"),
        (service.config.web.telemetry_path, "metrics for Prometheus"),
        ("/sd/prometheus", "nodes as targets for Prometheus"),
        ("/health", "how the registry itself is"),
    )
    entries = "\n".join(
        f'<dt><a href="{escape(path)}">{escape(path)}</a></dt><dd>{escape(what)}</dd>' for path, what in links
    )
    page = PAGE.format(version=escape(__version__), links=entries)

    async def handle(_: Request) -> Response:
        return HTMLResponse(page, headers={"Content-Security-Policy": POLICY})

    return handle
