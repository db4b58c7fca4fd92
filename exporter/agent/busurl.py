"""The bus's Redis URL: one server, over TLS, behind Sentinels, or a cluster. The registry takes the same ones."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

from exporter.agent.exits import UsageError

PLAIN, TLS, SENTINEL, CLUSTER = "redis", "rediss", "redis+sentinel", "redis+cluster"
PORTS = {PLAIN: 6379, TLS: 6379, SENTINEL: 26379, CLUSTER: 6379}
MAX_PORT = 65_535
OPTIONS = {
    TLS: frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"}),
    SENTINEL: frozenset({"sentinel_username", "sentinel_password"}),
}
"""What may stand after the `?`."""
EXPECTED = (
    "expected redis://host:6379, rediss://..., redis+sentinel://host:26379,host:26379/service or "
    "redis+cluster://host:6379,host:6379, with user:password@ or :password@ before the hosts where it is needed"
)
_URL = re.compile(r"([a-z+]+)://(?:([^/?#]*)@)?([^/?#@]+)([^?#]*)(?:\?(.*))?")
_PLACE = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?")
_DATABASE, _SERVICE = re.compile(r"(?:/[0-9]{0,5})?"), re.compile(r"/([A-Za-z0-9._-]+)(?:/[0-9]{0,5})?")
_PATHS = {PLAIN: _DATABASE, TLS: _DATABASE, SENTINEL: _SERVICE, CLUSTER: re.compile(r"/?")}


class BusUrl(NamedTuple):
    """A Redis URL, taken apart. A database is passed over: channels are not in one."""

    scheme: str
    places: Sequence[tuple[str, int]]
    """Host and port of each server that is named."""
    service: str
    """What Sentinels call the master."""
    login: Sequence[str]
    """User, where there is one, and password; empty where no password is needed."""
    options: Mapping[str, str]
    shown: str
    """The URL without user, password and options: fit for a log."""


def parse_bus_url(url: str) -> BusUrl:
    """Take it apart. Raises UsageError, which never repeats it: it may hold a password."""
    match = _URL.fullmatch(url)
    scheme, login, hosts, path, query = match.groups("") if match else ("",) * 5
    places = [_place(text, PORTS.get(scheme, 0)) for text in hosts.split(",")]
    service = _SERVICE.fullmatch(path) if scheme == SENTINEL else None
    user, _, password = login.partition(":")
    options: dict[str, Any] = dict(parse_qsl(query))
    fits = (
        scheme in PORTS
        and None not in places
        and (len(places) == 1 or scheme in {SENTINEL, CLUSTER})
        and _PATHS[scheme].fullmatch(path) is not None
        and bool(password or not login)
        and options.keys() <= OPTIONS.get(scheme, frozenset())
    )
    if not fits:
        raise UsageError(f"--event-bus (AURORA_EVENT_BUS): {EXPECTED}")
    return BusUrl(
        scheme,
        [place for place in places if place],
        service[1] if service else "",
        [unquote(word) for word in (user, password) if word],
        options,
        f"{scheme}://{hosts}{path}",
    )


def _place(text: str, usual_port: int) -> tuple[str, int] | None:
    match = _PLACE.fullmatch(text)
    port = int(match[2] or usual_port) if match else 0
    return (match[1].strip("[]"), port) if match and 0 < port <= MAX_PORT else None
