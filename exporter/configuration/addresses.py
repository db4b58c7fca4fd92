"""Addresses: where we listen, and which servers we use. A refused URL is never repeated: it may hold a password."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import SplitResult, urlsplit

from exporter.configuration.faults import refused
from exporter.domain.errors import Invalid
from exporter.domain.text import address_fault

REDIS_KINDS = (
    "redis://host:port/db, rediss://host:port/db, redis+sentinel://host:port,host:port/service/db, "
    "redis+cluster://host:port,host:port"
)
MAX_PORT = 65_535
_LISTEN = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]*):(?P<port>\d{1,5})", re.ASCII)
_SCHEME = re.compile(r"[a-z][a-z0-9+]{0,31}")
_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_TAKEN = frozenset({"nodes", "heartbeats", "topology", "stats", "events", "sd", "health", "-", "openapi.json"})
"""First steps of the paths that the REST interface answers at."""


def split_listen_address(text: str) -> tuple[str, int]:
    """Host and port of `host:port`, `:9999` (an empty host: every interface) or `[::]:9999`; ValueError otherwise."""
    match = _LISTEN.fullmatch(text)
    if match is None or int(match["port"]) > MAX_PORT:
        raise ValueError(text)
    host = match["host"]
    if host.startswith("["):
        host = host[1:-1]
        if address_fault(host):
            raise ValueError(text)
    return host, int(match["port"])


def listen_address(value: Any) -> str:
    """An address to listen on, as it was written."""
    try:
        split_listen_address(str(value))
    except ValueError:
        raise refused('an address such as "0.0.0.0:9999", ":9999" or "[::]:9999"', value) from None
    return str(value)


def telemetry_path(value: Any) -> str:
    """A path of our own that nothing else answers at."""
    if not isinstance(value, str) or not _PATH.fullmatch(value):
        raise refused("a path such as /metrics", value)
    if value.split("/")[1] in _TAKEN:
        raise refused("a path that the REST interface does not use itself", value)
    return value


def store_url(value: Any) -> str:
    """Where the node map is kept."""
    if value == "memory:":
        return "memory:"
    url = _split(value)
    if url is not None and url.scheme == "sqlite" and not url.netloc and len(url.path) > 1:
        return str(value)
    if url is None or not _is_redis(url):
        raise _refused_url(f"sqlite:///file.db, sqlite:////absolute/file.db, {REDIS_KINDS} or memory:", value)
    return str(value)


def event_bus_url(value: Any) -> str:
    """A Redis, or nothing."""
    url = _split(value)
    if value != "" and (url is None or not _is_redis(url)):
        raise _refused_url(f"{REDIS_KINDS} or nothing at all", value)
    return str(value)


def http_url(value: Any) -> str:
    """A URL of an HTTP server."""
    url = _split(value)
    try:
        fits = url is not None and url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:  # the port is no number
        fits = False
    if not fits:
        raise _refused_url("http://host:port or https://host:port", value)
    return str(value)


def optional_http_url(value: Any) -> str:
    """A URL of an HTTP server, or nothing."""
    return "" if value == "" else http_url(value)


def _is_redis(url: SplitResult) -> bool:
    if url.scheme == "redis+sentinel":
        return bool(url.netloc) and url.path.strip("/") != ""
    return url.scheme in {"redis", "rediss", "redis+cluster"} and url.netloc.rpartition("@")[2] != ""


def _split(value: Any) -> SplitResult | None:
    try:
        return urlsplit(value) if isinstance(value, str) and value.isprintable() else None
    except ValueError:
        return None


def _refused_url(expected: str, value: Any) -> Invalid:
    scheme, slashes, _ = value.partition("://") if isinstance(value, str) else ("", "", "")
    got = f"{scheme}://..." if slashes and _SCHEME.fullmatch(scheme) else "what is no such URL"
    return Invalid.of("", f"expected {expected}, got {got}")
