"""The ways on which heartbeats come: our own of each transport, and through every other registry on the store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from exporter.domain.errors import LeaseExpired
from exporter.domain.node import Node
from exporter.domain.reception import Reception, Source
from exporter.domain.status import Thresholds, Transport

NEVER = 1 << 62
MAX_OUTAGES = 64
"""Older ones are dropped: an age through so many of them has had all the grace there is."""
STOPPED = 0
"""The count of writes of a registry that shut down cleanly."""


class Path:
    """One way. The age of a node counts by the reception of the path that its last heartbeat came on."""

    __slots__ = ("lease_until_ns", "newcomers", "newcomers_until_ns", "reception", "transport", "via")

    def __init__(self, transport: Transport, reception: Reception, via: str = "") -> None:
        self.transport = transport
        self.reception = reception
        self.via = via
        """The other registry; empty where we receive ourselves."""
        self.lease_until_ns = NEVER
        """Until when (monotonic) heartbeats may be acknowledged on it."""
        self.newcomers_until_ns = NEVER
        """Until when those may be of nodes that came another way before, as the others still believe."""
        self.newcomers: set[Node] = set()
        """Nodes that came another way before, and of which the store has no heartbeat yet that came on this one."""

    def admit(self, node: Node, now_ns: int) -> None:
        """The node came another way before; raises LeaseExpired where the others cannot learn in time that it came."""
        if now_ns > self.newcomers_until_ns:
            raise LeaseExpired
        if self.newcomers_until_ns != NEVER:
            self.newcomers.add(node)


class _Peer:
    __slots__ = ("changed_ns", "recalled", "source", "writes")

    def __init__(self, name: str, now_ns: int, *, recalled: bool = False) -> None:
        self.recalled = recalled
        """When it last wrote is known from an earlier process, which did not note its count."""
        self.source = Source(f"registry {name}", now_ns)
        self.writes: int | None = None
        self.changed_ns = now_ns
        """When (monotonic) we last saw that it had written."""


class Peers:
    """The other registries on the store: each is alive while the count of its writes grows.

    Each holds a lease with every write: for so long it may acknowledge heartbeats without another, and for so long the
    others hold the nodes that they know through it. Both sides measure by their own monotonic clock, and its write
    came before we saw it: while it acknowledges, we hold.
    """

    def __init__(self, lease_ns: int) -> None:
        self.lease_ns = lease_ns
        self._peers: dict[str, _Peer] = {}

    def source(self, name: str, now_ns: int) -> Source:
        """The proof that it receives, or that there is nothing to wait for: it stopped, or its lease ended."""
        return self._peer(name, now_ns).source

    def recall(self, alive: Mapping[str, int]) -> None:
        """What a start knows of them: until when (monotonic) each is known to have received, of those not known yet."""
        for name, moment_ns in alive.items():
            if name not in self._peers:
                self._peers[name] = _Peer(name, moment_ns, recalled=True)

    def observe(self, now_ns: int, writes: Mapping[str, int]) -> list[Source]:
        """Take note of how often each has written, as the store said just now.

        The sources that this proves, once all is known that was written until now.
        """
        for name, count in writes.items():
            peer = self._peer(name, now_ns)
            if count != peer.writes:
                if not peer.recalled:
                    peer.changed_ns = now_ns
                peer.writes, peer.recalled = count, False
        return [
            peer.source
            for peer in self._peers.values()
            if peer.changed_ns == now_ns or not self._may_acknowledge(peer, now_ns)
        ]

    def mark_heard(self, now_ns: int, gap_ns: int) -> None:
        """What others wrote is being read."""
        for peer in self._peers.values():
            peer.source.mark_heard(now_ns, gap_ns)

    def alive(self, now_ns: int) -> list[str]:
        """The other registries that receive heartbeats now, as far as we know."""
        return [name for name, peer in self._peers.items() if self._may_acknowledge(peer, now_ns)]

    def _may_acknowledge(self, peer: _Peer, now_ns: int) -> bool:
        return peer.writes != STOPPED and now_ns - peer.changed_ns <= self.lease_ns

    def _peer(self, name: str, now_ns: int) -> _Peer:
        peer = self._peers.get(name)
        if peer is None:
            peer = self._peers[name] = _Peer(name, now_ns)
        return peer


class Paths:
    """Every path, ours first; those through other registries are made when the first heartbeat comes that way."""

    def __init__(
        self, now_ns: int, thresholds: Thresholds, sources: Mapping[Transport, tuple[Source, ...]], instance: str
    ) -> None:
        """`sources`: what each transport needs to receive, beside this process itself. `instance`: who we are."""
        self.process = Source("process", now_ns)
        self.peers = Peers(thresholds.lease)
        self._thresholds = thresholds
        self._instance = instance
        self._sources = {transport: (self.process, *sources.get(transport, ())) for transport in Transport}
        self.bus = tuple(
            source for source in self._sources[Transport.BUS] if source not in self._sources[Transport.HTTP]
        )
        """What the bus alone needs: its subscription."""
        self.own = {
            transport: Path(transport, self._reception(self._sources[transport], now_ns)) for transport in Transport
        }
        self._others: dict[str, Path] = {}
        self._past = self._reception(self._sources[Transport.HTTP], now_ns)
        """When we could not learn of what others received; its outages stay, though no node of ours is as old."""

    def __getitem__(self, transport: Transport) -> Path:
        """Our own."""
        return self.own[transport]

    def __iter__(self) -> Iterator[Path]:
        """All of them."""
        yield from self.own.values()
        yield from self._others.values()

    def find(self, via: str, transport: Transport) -> Path | None:
        """The path of a heartbeat that this registry received; ours where it names none or us."""
        return self.own[transport] if not via or via == self._instance else self._others.get(via)

    def add(self, via: str, transport: Transport, now_ns: int) -> Path:
        """Another registry received a heartbeat: maybe while or before we could not learn of it."""
        sources = (*self._sources[transport], self.peers.source(via, now_ns))
        reception = self._reception(sources, self._past.until_ns)
        reception.outages = [*self._past.outages]
        # What interrupted us before is among those: else its first proof would look like the end of an outage.
        reception.interruptions = self.own[transport].reception.interruptions
        path = self._others[via] = Path(transport, reception, via)
        return path

    def note_past(self) -> None:
        """Take in what is proved, for registries that are new to us later. Call it at each proof."""
        if self._past.advance():
            del self._past.outages[:-MAX_OUTAGES]

    def reception_of(self, node: Node) -> Reception:
        """Of the path that the node's last heartbeat came on."""
        return node.path.reception if isinstance(node.path, Path) else self.own[node.transport].reception

    def counted_age_ns(self, node: Node) -> int:
        """The age that the node's status is derived from: outages and grace left out."""
        return self.reception_of(node).counted_age_ns(node.last_heartbeat_ns)

    def held_since_ns(self, node: Node, now_ns: int) -> int | None:
        """Since when (monotonic) the node's status is frozen, as we are blind to it; None where it is not."""
        return self.reception_of(node).held_since_ns(node.last_heartbeat_ns, now_ns)

    def anything_held(self, now_ns: int) -> bool:
        """Whether `held_since_ns` may be other than None for any node."""
        return any(path.reception.holding or path.reception.blind(now_ns) for path in self)

    def reconfigure(self, thresholds: Thresholds) -> None:
        """Other limits, from now on."""
        self._thresholds = thresholds
        self.peers.lease_ns = thresholds.lease
        for reception in (self._past, *(path.reception for path in self)):
            reception.gap_ns, reception.grace_ns = thresholds.gap, thresholds.grace
            reception.budget_ns = thresholds.offline_after

    def _reception(self, sources: tuple[Source, ...], until_ns: int) -> Reception:
        limits = self._thresholds
        return Reception(
            sources, until_ns=until_ns, gap_ns=limits.gap, grace_ns=limits.grace, budget_ns=limits.offline_after
        )
