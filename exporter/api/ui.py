"""The status page: its files, from the package, and nothing from elsewhere."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from exporter import __version__
from exporter.api.access import Access
from exporter.api.problems import Problem
from exporter.api.responses import Handler, document_response, seconds
from exporter.api.service import Service
from exporter.api.trust import Trust
from exporter.domain.errors import StillLoading

ROOT = Path(__file__).parents[1] / "ui"
OK, NOT_FOUND = 200, 404
WRITE = "/nodes/any/maintenance"
"""A caller that may write this may do all that the page offers."""
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class PageFiles:
    """The files by name, read once, each with its ETag."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[bytes, str, str]] = {}
        for path in sorted(ROOT.iterdir()):
            if path.suffix in TYPES:
                content = path.read_bytes()
                etag = f'"{hashlib.sha256(content).hexdigest()[:20]}"'
                self._files[path.name] = content, etag, TYPES[path.suffix]

    def answer(self, name: str, request: Request, status: int = OK) -> Response:
        """The file with this status, or 304 where the caller has it."""
        if name not in self._files:
            raise Problem(404, "no file of the status page has this name")
        content, etag, media_type = self._files[name]
        headers = {**HEADERS, "ETag": etag}
        if status == OK and etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(content, status, {**headers, "Content-Type": media_type})


def page(files: PageFiles) -> Handler:
    """The page itself: what it shows follows from the address."""

    async def handle(request: Request) -> Response:
        return files.answer("index.html", request)

    return handle


def node_page(files: PageFiles, service: Service) -> Handler:
    """The page of one node; where no node has this name it is a 404, and the page says so."""

    async def handle(request: Request) -> Response:
        response = files.answer("index.html", request)
        with contextlib.suppress(StillLoading):
            if service.node_map.find(request.path_params["name"]) is None:
                response = files.answer("index.html", request, NOT_FOUND)
        return response

    return handle


def asset(files: PageFiles) -> Handler:
    """A script or a style sheet of the page."""

    async def handle(request: Request) -> Response:
        return files.answer(request.path_params["file"], request)

    return handle


def session(service: Service) -> Handler:
    """What the page needs to know of us and of its reader: whether a write from its address would be taken."""
    trust, access = Trust(), Access(service)

    async def handle(request: Request) -> Response:
        config = service.config
        headers = dict(request.scope["headers"])
        caller = trust.judge(config.auth, request.scope, headers)
        refusal = ""
        try:
            access.check_write(WRITE, access.identify(headers), caller, headers)
        except Problem as problem:
            refusal = problem.detail
        thresholds = config.thresholds
        return document_response(
            {
                "version": __version__,
                "may_write": not refusal,
                "refusal": refusal,
                "telemetry_path": config.web.telemetry_path,
                "heartbeat_interval_seconds": seconds(thresholds.heartbeat_interval),
                "warning_after_seconds": seconds(thresholds.warning_after),
                "offline_after_seconds": seconds(thresholds.offline_after),
                "prometheus_url": _without_password(config.alerting.prometheus_url),
            }
        )

    return handle


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}".rstrip("/") if rest else ""
