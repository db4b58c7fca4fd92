"""Who calls, and whether it may write: judged by the address, and remembered for each peer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from starlette.types import Scope

from exporter.domain.config import Auth, Network

FORWARDING = frozenset(
    {
        b"forwarded",
        b"via",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
        b"x-real-ip",
        b"x-forwarded",
        b"x-forwarded-by",
        b"x-forwarded-port",
        b"x-forwarded-scheme",
        b"x-forwarded-server",
        b"x-forwarded-ssl",
        b"x-original-forwarded-for",
        b"x-original-host",
        b"x-originating-ip",
        b"x-remote-addr",
        b"x-remote-ip",
        b"x-client-ip",
        b"x-cluster-client-ip",
        b"x-envoy-external-address",
        b"x-azure-clientip",
        b"x-appengine-user-ip",
        b"x-proxyuser-ip",
        b"forwarded-for",
        b"client-ip",
        b"true-client-ip",
        b"cdn-loop",
        b"cf-connecting-ip",
        b"cf-connecting-ipv6",
        b"cf-ray",
        b"fastly-client-ip",
        b"fly-client-ip",
        b"wl-proxy-client-ip",
        b"proxy-client-ip",
        b"x-amz-cf-id",
    }
)
"""A request with one of these was passed on by somebody: the peer is not its sender."""
MAX_REMEMBERED = 10_000
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
        """Who sent the request: the peer, or whom a trusted proxy names."""
        if auth is not self._auth:
            self._auth, self._peers = auth, {}
        client = scope.get("client")
        host: str = client[0] if client else ""
        if not FORWARDING.isdisjoint(headers):
            return _forwarded(auth, host, scope)
        caller = self._peers.get(host)
        if caller is None:
            if len(self._peers) >= MAX_REMEMBERED:
                self._peers.clear()
            caller = self._peers[host] = _direct(auth, host)
        return caller


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
        for hop in value.decode("latin-1").split(",")
    ]
    client = None
    # From the right: what stands left of an untrusted address, anybody may have made up.
    for hop in reversed(hops):
        client = _parse(_without_port(hop))
        if client is None or not _within(client, auth.trusted_proxies):
            break
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
