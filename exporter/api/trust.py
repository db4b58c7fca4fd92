"""Who calls, and whether it may write: judged by the address, and remembered for each peer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from starlette.types import Scope

from exporter.domain.config import Auth, Network

_FORWARDING = re.compile(
    rb"(?:^|-)(?:via|ip|address)$|forward|proxy|nginx|varnish|squid|surrogate"
    rb"|(?:client|real|remote|connecting|connection|source|socket|peer|user|originating|from|true)-?(?:ip|addr|port)"
    rb"|client-(?:cert|verify)|(?:remote|webauth)-user|auth-request-|^front-end-https$"
    rb"|^(?:cf|cdn|cloudfront|eo|fly|fastly|akamai|tailscale|incap|ngrok|rndr)-"
    rb"|^x-(?:akamai|amz-cf|amzn-(?:mtls|oidc|tls)|appengine|arr|azure|bluecoat|cdn|consumer|edgeconnect|envoy|fd)-"
    rb"|^x-(?:goog-(?:authenticated|iap)|kong|ms-client|nf|pomerium|railway|render|sucuri|tailscale|traefik|vercel)-"
    rb"|^x-(?:http-host|original|rewrite)-|^x-(?:backend-|gateway-)?host$|^x-(?:url-)?scheme$|^x-(?:queue|request)-start$"
)
"""Names of headers by which a proxy says that it passed a request on, or which client it was, as far as known."""
_DIRECT = frozenset(
    {
        b"accept",
        b"accept-encoding",
        b"accept-language",
        b"authorization",
        b"connection",
        b"content-length",
        b"content-type",
        b"host",
        b"if-none-match",
        b"origin",
        b"referer",
        b"traceparent",
        b"transfer-encoding",
        b"user-agent",
        b"x-prometheus-scrape-timeout-seconds",
        b"x-request-id",
    }
)
"""What programs send themselves: a request with these alone needs no second look."""
LONGEST_NAME = 64
"""Bytes of the name of a header that is looked at."""
MAX_OTHERS = 64
"""Headers beside those that programs send as a rule: a request with more is taken as one that was passed on."""
MAX_REMEMBERED = 10_000
MAX_HOPS = 32
"""Of X-Forwarded-For, from the right; longer chains of trusted proxies name nobody."""
HOW_TO_WRITE = "write from the VPN, or add the network to auth.trusted_networks"

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Caller:
    """Where a request comes from; `refusal` says why it may not write, and is empty where it may (a trusted caller)."""

    address: str
    refusal: str = ""


def is_trusted_peer(auth: Auth, host: str) -> bool:
    """Whether a connection from this address is a trusted caller's, or a trusted proxy's."""
    address = _parse(host)
    return address is not None and (_within(address, auth.trusted_networks) or _within(address, auth.trusted_proxies))


class Trust:
    """Judges callers by `auth`; a judgement holds until the configuration is replaced."""

    def __init__(self) -> None:
        self._auth: Auth | None = None
        self._peers: dict[str, Caller] = {}

    def judge(self, auth: Auth, scope: Scope, headers: Mapping[bytes, bytes]) -> Caller:
        """Who sent the request: the peer, or the client that a trusted proxy names."""
        if auth is not self._auth:
            self._auth, self._peers = auth, {}
        client = scope.get("client")
        host: str = client[0] if client else ""
        if not _DIRECT.issuperset(headers) and _is_forwarded(headers):
            return _forwarded(auth, host, scope)
        caller = self._peers.get(host)
        if caller is None:
            if len(self._peers) >= MAX_REMEMBERED:
                self._peers.clear()
            caller = self._peers[host] = _direct(auth, host)
        return caller


def _is_forwarded(headers: Mapping[bytes, bytes]) -> bool:
    """Whether somebody passed the request on: then the peer is not its sender."""
    others = [name for name in headers if name not in _DIRECT and len(name) <= LONGEST_NAME]
    # Programs behind CGI read `_` as `-`.
    return len(others) > MAX_OTHERS or any(_FORWARDING.search(name.replace(b"_", b"-")) for name in others)


def _direct(auth: Auth, host: str) -> Caller:
    address = _parse(host)
    if address is None:
        return Caller("", f"a caller without an IP address is not trusted: {HOW_TO_WRITE}")
    return _judged(auth, address)


def _forwarded(auth: Auth, host: str, scope: Scope) -> Caller:
    peer = _parse(host)
    if peer is None or not _within(peer, auth.trusted_proxies):
        proxy = host or "a peer without an IP address"
        return Caller("", f"{proxy} passed this on and is not in auth.trusted_proxies: call directly, or add it there")
    hops = [
        hop.strip()
        for name, value in scope["headers"]
        if name == b"x-forwarded-for"
        for hop in value.decode("latin-1").rsplit(",", MAX_HOPS)
    ]
    client = None
    # From the right: what stands left of an untrusted address, anybody may have made up.
    for hop in reversed(hops[-MAX_HOPS:]):
        client = _parse(_without_port(hop))
        if client is None or not _within(client, auth.trusted_proxies):
            break
    else:
        client = client if len(hops) <= MAX_HOPS else None
    if client is None:
        return Caller("", f"the proxy {host} does not say who called: let it set X-Forwarded-For to the address")
    return _judged(auth, client)


def _judged(auth: Auth, address: Address) -> Caller:
    if _within(address, auth.trusted_networks):
        return Caller(str(address))
    return Caller(str(address), f"{address} is not in auth.trusted_networks: {HOW_TO_WRITE}")


def _without_port(hop: str) -> str:
    """The address of `10.0.0.4`, `10.0.0.4:51234`, `fd00::4`, `[fd00::4]` or `[fd00::4]:51234`."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


def _parse(text: str) -> Address | None:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _within(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks)
