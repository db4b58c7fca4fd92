"""Which connections may stay: trusted peers keep their share, and idle untrusted ones are closed first."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from typing import ClassVar, Protocol
from weakref import WeakKeyDictionary

from uvicorn.server import ServerState

from exporter.domain.config import Limits

RESERVED = 4
"""One connection in so many is kept for trusted peers."""
IPV6_SITE = 64
"""Bits of an IPv6 address that differ between customers."""


class LimitedConnection(Protocol):
    """What is asked of a connection."""

    source: str
    trusted: bool

    def close_idle(self) -> None:
        """Close it: it has no request under way."""


def source_of(host: str) -> str:
    """Whose limits an address counts against: an IPv4 address itself, of IPv6 the network of 64 bits."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return str(IPv6Address(int(address) >> IPV6_SITE << IPV6_SITE))
    return str(getattr(address, "ipv4_mapped", None) or address)


class ConnectionLimits:
    """Admits connections of one server. Every call costs the same, however many connections there are."""

    _of_server: ClassVar[WeakKeyDictionary[ServerState, ConnectionLimits]] = WeakKeyDictionary()

    def __init__(self) -> None:
        self._idle: OrderedDict[LimitedConnection, None] = OrderedDict()
        """Untrusted ones without a request, the one that waits longest first."""
        self._untrusted: Counter[str] = Counter()
        self._total = 0

    @classmethod
    def of(cls, server: ServerState) -> ConnectionLimits:
        """The limits that all connections of a server share."""
        return cls._of_server.setdefault(server, cls())

    def admit(self, connection: LimitedConnection, limits: Limits, refused: Callable[[str], None]) -> str:
        """Count it in; why it may not stay, or nothing. `refused` gets the reason of each connection that is closed."""
        self._total += 1
        if connection.trusted:
            if self._total > limits.max_connections and not self._close_one(refused):
                return "too many connections (limits.max_connections): try again soon"
            return ""
        self._untrusted[connection.source] += 1
        self._idle[connection] = None
        if self._untrusted[connection.source] > limits.max_connections_per_source:
            return "too many connections from this address (limits.max_connections_per_source): reuse one"
        most = limits.max_connections - max(1, limits.max_connections // RESERVED)
        if self._untrusted.total() > max(1, most) and not self._close_one(refused, spared=connection):
            return "too many connections (limits.max_connections): try again soon"
        return ""

    def leave(self, connection: LimitedConnection) -> None:
        """The connection is gone."""
        self._total -= 1
        self._idle.pop(connection, None)
        if not connection.trusted:
            self._untrusted[connection.source] -= 1
            if self._untrusted[connection.source] <= 0:
                del self._untrusted[connection.source]

    def busy(self, connection: LimitedConnection) -> None:
        """A request arrives whole, or is answered."""
        self._idle.pop(connection, None)

    def idle(self, connection: LimitedConnection) -> None:
        """The connection waits for its next request."""
        if not connection.trusted:
            self._idle[connection] = None

    def _close_one(self, refused: Callable[[str], None], spared: LimitedConnection | None = None) -> bool:
        for connection in self._idle:
            if connection is not spared:
                del self._idle[connection]
                connection.close_idle()
                refused("idle_connection")
                return True
        return False
