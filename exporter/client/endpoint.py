"""Base URLs of HTTP services, as every program takes them: a host, `host:port` or a URL."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, unquote, urlsplit

from exporter.domain.errors import Invalid

REGISTRY_PORT = 9999
PROMETHEUS_PORT = 9090
ALERTMANAGER_PORT = 9093
"""Where these listen by default."""
DEFAULT_REGISTRY = f"http://127.0.0.1:{REGISTRY_PORT}"
EXPECTED = "expected a host, host:port or a URL such as http://10.0.0.1:9999"
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a service answers. `url` is what people see: it has no user and no password."""

    scheme: str
    host: str
    port: int
    url: str
    prefix: str = ""
    """The path of a service behind a proxy, without a slash at its end."""
    authorization: str = ""
    """The header that a `user:password@` in the URL stands for."""


def parse_endpoint(text: str, *, usual_port: int = _PORTS["http"]) -> Endpoint:
    """The endpoint that the text names; Invalid never repeats it, since it may hold a password.

    Without a scheme it is `http://`, and without a port too it has the usual port of the service that is meant. A URL
    has its scheme's.
    """
    url = as_url(text, usual_port)
    parts, host, port = _split(url)
    login, _, shown_host = parts.netloc.rpartition("@")
    prefix = parts.path.rstrip("/")
    authorization = f"Basic {b64encode(unquote(login).encode()).decode()}" if login else ""
    shown = f"{parts.scheme}://{shown_host}{prefix}"
    return Endpoint(parts.scheme, host, port or _PORTS[parts.scheme], shown, prefix, authorization)


def as_url(text: str, usual_port: int) -> str:
    """The same as a URL, with what `parse_endpoint` adds and without a slash at its end; Invalid likewise."""
    if "://" in text:
        _split(text)
        return text.rstrip("/")
    parts, _, port = _split(f"http://{text}")
    netloc = parts.netloc if port else f"{parts.netloc.removesuffix(':')}:{usual_port}"
    return parts._replace(netloc=netloc).geturl().rstrip("/")


def _split(url: str) -> tuple[SplitResult, str, int | None]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:  # the port is no number, or a bracket is missing
        raise Invalid.of("", EXPECTED) from None
    if parts.scheme not in _PORTS or not host or port == 0 or parts.query or parts.fragment or not _is_plain(url):
        raise Invalid.of("", EXPECTED)
    return parts, host, port


def node_path(name: str) -> str:
    """The path of a node's document."""
    return f"/nodes/{quote(name, safe='')}"


def _is_plain(url: str) -> bool:
    return url.isascii() and url.isprintable() and " " not in url
