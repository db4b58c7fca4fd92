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
        b"true-client-ip",
        b"cf-connecting-ip",
    }
)
"""A request with one of these was passed on by somebody: the peer is not its sender."""
MAX_REMEMBERED = 10_000
HOW_TO_WRITE = "write from the VPN, or add the network to auth.trusted_networks"

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Caller:
    """Where a request comes from; `refusal` says why it may not write, and is empty where it may."""

    address: str
    refusal: str = ""


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
        client = _parse(hop)
        if client is None or not _within(client, auth.trusted_proxies):
            break
    if client is None:
        return Caller("", f"the proxy {host} does not say who called: let it set X-Forwarded-For to the address")
    return _judged(auth, client)


def _judged(auth: Auth, address: Address) -> Caller:
    if _within(address, auth.trusted_networks):
        return Caller(str(address))
    return Caller(str(address), f"{address} is not in auth.trusted_networks: {HOW_TO_WRITE}")


def _parse(text: str) -> Address | None:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _within(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks)
