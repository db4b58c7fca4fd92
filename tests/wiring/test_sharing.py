"""What a registry learns of the others with each of its writes."""

from __future__ import annotations

from exporter.domain.clock import SECOND
from exporter.domain.command import Register
from exporter.domain.heartbeat import Heartbeat
from exporter.domain.reception import Source
from exporter.domain.registration import Registration
from exporter.domain.status import Thresholds, Transport
from exporter.nodemap import merging
from exporter.nodemap.nodemap import NodeMap
from exporter.nodemap.paths import NEVER, STOPPED
from exporter.stores.base import Saved
from exporter.stores.memory import MemoryStore
from exporter.wiring.sharing import Sharing
from tests.support.clock import ManualClock


class SharedStore(MemoryStore):
    """Says that others write to it. Nobody does."""

    shared = True
    instance = "a"


def test_who_else_writes_has_a_share_while_the_store_can_be_reached():
    """And alone, a registry gives no lease and leaves nothing to others."""
    clock = ManualClock()
    node_map, source = NodeMap(clock, Thresholds(), instance="a"), Source("store", clock.monotonic_ns())
    sharing, path = Sharing(SharedStore(), clock, source), node_map.paths[Transport.HTTP]  # type: ignore[arg-type]

    def save(**writes: int) -> tuple[tuple[str, ...], bool]:
        clock.advance(1)
        sharing.saved(node_map, Saved(peers=writes), clock.monotonic_ns() - SECOND)
        return node_map.pending.left.share.instances, path.lease_until_ns != NEVER

    assert save(a=1) == (("a",), False)
    assert save(a=2, b=7, c=STOPPED) == (("a", "b"), True)
    sharing.lost(node_map)
    assert (node_map.pending.left.share.instances, source.lost) == (("",), True)
    assert save(a=3, b=8) == (("a", "b"), True)
    clock.advance(node_map.peers.lease_ns / SECOND)
    assert save(a=4, b=8) == (("a",), False)


def test_what_others_wrote_is_known_before_they_prove_anything():
    """Where much of it waits to be read, their nodes, and those that moved to them, are judged by it, not before it."""
    clock, store = ManualClock(), SharedStore()
    node_map, source = NodeMap(clock, Thresholds(), instance="a"), Source("store", clock.monotonic_ns())
    peer, sharing = node_map.peers.source("b", 0), Sharing(store, clock, source)  # type: ignore[arg-type]

    def save(change: int) -> None:
        clock.advance(1)
        node_map.tick()
        sharing.saved(node_map, Saved(peers={"b": change}, changes_before=change), clock.monotonic_ns())
        sharing.reached(node_map, clock.monotonic_ns())

    save(0)
    reading_since_ns = clock.monotonic_ns()
    path = node_map.path_via("b", Transport.HTTP)
    for change in range(1, 31):
        save(change)
        sharing.followed(node_map)
        assert (peer.proof_ns, source.proof_ns) == (reading_since_ns, reading_since_ns)
        assert not path.reception.blind(clock.monotonic_ns())
    store.changes_taken = 20
    save(31)
    assert (peer.proof_ns, source.proof_ns) == (clock.monotonic_ns() - 11 * SECOND,) * 2
    store.changes_taken = 32
    save(32)
    assert (peer.proof_ns, source.proof_ns) == (clock.monotonic_ns(),) * 2

    save(33)
    sharing.lost(node_map)
    store.changes_taken = 33
    assert source.lost
    save(34)
    assert source.lost, "what was proven before it was lost is not proven any more"


def test_who_came_is_new_until_the_store_has_a_heartbeat_of_it():
    """One that came while it was written is new until the next time."""
    clock = ManualClock()
    node_map = NodeMap(clock, Thresholds(), instance="a")
    sharing, path = Sharing(SharedStore(), clock, None), node_map.paths[Transport.HTTP]  # type: ignore[arg-type]
    for name in ("x", "y"):
        node_map.commit(node_map.plan(Register(Registration(name), Transport.BUS)))
    path.newcomers_until_ns = clock.monotonic_ns() + SECOND

    def came() -> list[str]:
        return sorted(node.name for node in path.newcomers)

    node_map.heartbeat(Heartbeat("x"), Transport.HTTP)
    written = sharing.came(node_map, merging.take(node_map, 10).heartbeats)
    node_map.heartbeat(Heartbeat("y"), Transport.HTTP)
    assert came() == ["x", "y"]
    sharing.took(node_map, written)
    assert came() == ["y"]
    sharing.took(node_map, sharing.came(node_map, merging.take(node_map, 10).heartbeats))
    assert came() == []
