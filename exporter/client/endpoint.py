"""Base URLs of HTTP services, as every program takes them: `host:port` or a URL."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from exporter.domain.errors import Invalid

DEFAULT_REGISTRY = "http://127.0.0.1:9999"
EXPECTED = "expected host:port or a URL such as http://10.0.0.1:9999"
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


def parse_endpoint(text: str) -> Endpoint:
    """The endpoint that the text names, `http://` where no scheme is given; Invalid never repeats it.

    The text may hold a password, so it is not shown.
    """
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:  # what stands for the port is none, or a bracket is missing
        raise Invalid.of("", EXPECTED) from None
    if parts.scheme not in _PORTS or not host or port == 0 or parts.query or parts.fragment or not _is_plain(url):
        raise Invalid.of("", EXPECTED)
    login, _, shown_host = parts.netloc.rpartition("@")
    prefix = parts.path.rstrip("/")
    authorization = f"Basic {b64encode(unquote(login).encode()).decode()}" if login else ""
    shown = f"{parts.scheme}://{shown_host}{prefix}"
    return Endpoint(parts.scheme, host, port or _PORTS[parts.scheme], shown, prefix, authorization)


def node_path(name: str) -> str:
    """The path of a node's document."""
    return f"/nodes/{quote(name, safe='')}"


def _is_plain(url: str) -> bool:
    return url.isascii() and url.isprintable() and " " not in url
