"""`/metrics`: which format and encoding the scraper takes, and which samples it wants."""

from __future__ import annotations

import time
from collections.abc import Iterator
from urllib.parse import parse_qsl

from isal import igzip
from starlette.requests import Request
from starlette.responses import Response

from exporter.api.renderings import Body, Renderings, SharedResponse
from exporter.api.responses import Handler
from exporter.api.service import Service
from exporter.domain.errors import Invalid, StillLoading

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
OPEN_METRICS_VERSIONS = frozenset({"", "1.0.0"})
END = b"# EOF\n"
MAX_PREFERENCES = 64
"""Of Accept and Accept-Encoding; Prometheus sends five, browsers eight."""
MAX_NAMES = 1000


def scrape(service: Service, renderings: Renderings, chosen: Renderings) -> Handler:
    """All metrics; before the node map is loaded only those about ourselves, since they say why.

    `chosen`: for scrapes that name samples. Callers can think of any number of those: whole scrapes do not wait for
    them.
    """

    async def handle(request: Request) -> Response:
        open_metrics = wants_open_metrics(request.headers.get("accept", ""))
        gzip = takes_gzip(request.headers.get("accept-encoding", ""))
        names = _names(request.scope["query_string"])

        async def render() -> Body:
            began = time.perf_counter()
            body = await _expose(service, open_metrics=open_metrics, gzip=gzip, names=names)
            service.telemetry.scrape_seconds = time.perf_counter() - began
            return Body([body])

        shared = renderings if names is None else chosen
        body = await shared.get((open_metrics, gzip, names, _version(service)), render)
        headers = {"Vary": "Accept, Accept-Encoding"}
        if gzip:
            headers["Content-Encoding"] = "gzip"
        return SharedResponse(body, {**headers, "Content-Type": OPEN_METRICS if open_metrics else TEXT})

    return handle


def _names(query_string: bytes) -> frozenset[str] | None:
    """The samples that are asked for; None: all of them. Other parameters are passed over, as exporters do."""
    try:
        pairs = parse_qsl(query_string.decode("latin-1"), max_num_fields=MAX_NAMES)
    except ValueError:
        raise Invalid.of("", f"expected at most {MAX_NAMES} query parameters") from None
    return frozenset(value for name, value in pairs if name == "name[]") or None


async def _expose(service: Service, *, open_metrics: bool, gzip: bool, names: frozenset[str] | None) -> bytes:
    own = service.telemetry.expose(open_metrics=open_metrics, names=names)
    try:
        exposition = service.exposition
    except StillLoading:
        body = own + (END if open_metrics else b"")
        return igzip.compress(body) if gzip else body
    return await exposition.scrape(open_metrics=open_metrics, gzip=gzip, names=names, own=own)


def _version(service: Service) -> int:
    """Of the node map; another one is another rendering, so that nobody reads from before their own write."""
    try:
        return service.node_map.version
    except StillLoading:
        return -1


def wants_open_metrics(accept: str) -> bool:
    """Whether OpenMetrics 1.0.0 is asked for by name, and no less than the text format is.

    Of two that are wanted alike the first one stands; who names neither gets text. Source: Prometheus' scrape headers.
    """
    best, open_metrics = 0.0, False
    for media_type, quality, parameters in _preferences(accept):
        version = parameters.get("version", "")
        is_open = media_type == "application/openmetrics-text" and version in OPEN_METRICS_VERSIONS
        is_text = media_type in {"text/plain", "text/*", "*/*"}
        if (is_open or is_text) and quality > best:
            best, open_metrics = quality, is_open
    return open_metrics


def takes_gzip(accept_encoding: str) -> bool:
    """Whether the answer may be compressed: said of gzip, or else of any encoding."""
    qualities = {encoding: quality for encoding, quality, _ in _preferences(accept_encoding)}
    return qualities.get("gzip", qualities.get("*", 0.0)) > 0


def _preferences(header: str) -> Iterator[tuple[str, float, dict[str, str]]]:
    for entry in header.split(",", MAX_PREFERENCES)[:MAX_PREFERENCES]:
        value, *rest = (part.strip().lower() for part in entry.split(";"))
        parameters = {name.strip(): text.strip(' "') for name, _, text in (part.partition("=") for part in rest)}
        try:
            quality = float(parameters.pop("q", "1"))
        except ValueError:
            quality = 0.0
        yield value, quality, parameters
