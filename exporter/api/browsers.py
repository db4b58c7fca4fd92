"""What browsers may do: pages of any allowed origin read, and only our own pages write."""

from __future__ import annotations

import functools
import re
import socket
from collections.abc import Mapping
from concurrent.futures import Future
from ipaddress import ip_address
from threading import Thread
from typing import Any

from exporter.api.problems import Problem
from exporter.configuration.addresses import split_listen_address
from exporter.configuration.pattern import compile_pattern
from exporter.domain.config import Web

Headers = list[tuple[bytes, bytes]]
READS = b"GET, HEAD, OPTIONS"
READABLE = b"ETag, X-Request-ID"
SENDABLE = b"Accept, Authorization, If-None-Match, Last-Event-ID, X-Request-ID, traceparent"
HOW_TO_WRITE = "pages of other sites cannot write: call the API from a program"
LONGEST = 300
"""Bytes of an Origin or Host: a host name has at most 253."""
OWN = frozenset({b"same-origin", b"none"})
"""Values of Sec-Fetch-Site that no other site's page can cause. Source: Fetch Metadata, W3C."""
MAX_REMEMBERED = 1000
SECURE = frozenset({b"https"})
PLAIN = SECURE | {b"http"}
_HOST = re.compile(rb"(?:\[(?P<address>[^\]]*)\]|(?P<name>[^:@\[\]]*))(?::[0-9]*)?")


class Origins:
    """Which origins may read: those that the setting matches as a whole, as Prometheus has it."""

    def __init__(self) -> None:
        self._setting: str | None = None
        self._pattern: Any = None

    def headers(self, setting: str, origin: bytes) -> Headers:
        """What an answer to this origin carries; never that it may send credentials."""
        if setting != self._setting:
            self._setting, self._pattern = setting, compile_pattern(setting)
        anyone = setting == ".*"
        vary = [] if anyone else [(b"vary", b"Origin")]
        if not anyone and (len(origin) > LONGEST or self._pattern.fullmatch(origin.decode("latin-1")) is None):
            return vary
        return [
            (b"access-control-allow-origin", b"*" if anyone else origin),
            (b"access-control-allow-methods", READS),
            (b"access-control-allow-headers", SENDABLE),
            (b"access-control-expose-headers", READABLE),
            *vary,
        ]


def refuse_cross_site(headers: Mapping[bytes, bytes], *, secure: bool = False) -> None:
    """Refuse a write that a browser sends for another origin's page, whatever its method and type.

    `secure`: whether it came over TLS; over plain HTTP, a proxy may have taken TLS off.
    Browsers send `Origin` with every write, and `Sec-Fetch-Site` as well over TLS and to localhost.
    """
    site, origin = headers.get(b"sec-fetch-site"), headers.get(b"origin")
    foreign = site is not None and site.strip().lower() not in OWN
    if not foreign and origin is not None:
        host = headers.get(b"host", b"").strip().lower()
        scheme, _, page = origin.strip().lower().partition(b"://")
        foreign = len(origin) > LONGEST or not host or page != host or scheme not in (SECURE if secure else PLAIN)
    if foreign:
        raise Problem(403, HOW_TO_WRITE, kind="cross-site")


class Hosts:
    """Under which names writes are taken, so that a name that was rebound to our address is useless.

    Addresses, localhost, this machine's own name (with its domain where the resolver knows it), what
    `web.listen_address` names, and `web.allowed_hosts`. From a program (which sends no `Origin`) a name without a dot
    is taken too: nobody outside can give such a name an address.
    Source: ICANN SAC053.
    """

    def __init__(self) -> None:
        self._setting: Web | None = None
        self._judged: dict[bytes, bool] = {}
        _full_name()

    def check(self, setting: Web, headers: Mapping[bytes, bytes], *, browser: bool) -> None:
        """Raise Problem (403) for a request whose `Host` is not ours."""
        named = headers.get(b"host")
        if named is None:
            return  # HTTP/1.0, which no browser uses
        if setting is not self._setting or len(self._judged) > MAX_REMEMBERED:
            self._setting, self._judged = setting, {}
        ours = self._judged.get(named)
        if ours is None:
            ours = _is_ours(_without_port(named), setting)
            if len(named) <= LONGEST and (ours or _full_name().done()):
                self._judged[named] = ours
        if ours:
            return
        host = _without_port(named)
        if browser or b"." in host:
            shown = ascii(host[:80].decode("latin-1"))
            detail = f"no writes for the Host {shown}: use an address, or add the name to web.allowed_hosts"
            raise Problem(403, detail, kind="unknown-host")


def is_browser(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a browser sent it, by what browsers always send with a write."""
    return b"origin" in headers or b"sec-fetch-site" in headers or b"sec-fetch-mode" in headers


def _without_port(value: bytes) -> bytes:
    """The name or address; of what is no host, such as `user@host`, all."""
    text = value.strip().lower()
    parts = _HOST.fullmatch(text)
    return (parts["address"] or parts["name"].removesuffix(b".")) if parts else text


@functools.cache
def _full_name() -> Future[str]:
    """This machine's name with its domain. Only the resolver knows that, which may take its time: so in a thread."""
    found: Future[str] = Future()
    Thread(target=lambda: found.set_result(_look_up_full_name()), name="aurora-own-name", daemon=True).start()
    return found


def _look_up_full_name() -> str:
    """Our own name alone where the resolver names another machine, or none."""
    own = socket.gethostname().lower()
    full = socket.getfqdn().lower().removesuffix(".")
    return full if full.partition(".")[0] == own.partition(".")[0] else own


def _is_ours(host: bytes, setting: Web) -> bool:
    if len(host) > LONGEST:
        return False
    name = host.decode("latin-1")
    try:
        # Of a zone, IPv6 alone has one: what looks like an IPv4 address with a zone may be the name of a host.
        ip_address(name.partition("%")[0] if ":" in name else name)
    except ValueError:
        listener = split_listen_address(setting.listen_address)[0].lower().removesuffix(".")
        own = {"localhost", socket.gethostname().lower(), listener or "localhost"}
        if _full_name().done():
            own.add(_full_name().result())
        names = setting.allowed_hosts
        allowed = any(name == each or (each[:2] == "*." and name.endswith(each[1:])) for each in names)
        return allowed or name in own or name.endswith(".localhost")
    return True
