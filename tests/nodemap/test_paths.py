"""Leases of registries that share a store, and what one learns late from another."""

from __future__ import annotations

import pytest

from exporter.domain.clock import SECOND
from exporter.domain.command import Register
from exporter.domain.config import Limits
from exporter.domain.durable import Batch, LastHeartbeat, Mark, Snapshot, StoredNode
from exporter.domain.errors import LeaseExpired
from exporter.domain.heartbeat import Heartbeat
from exporter.domain.node import NodeRecord
from exporter.domain.reception import Source
from exporter.domain.registration import Registration
from exporter.domain.site import SiteRule
from exporter.domain.status import Status, Thresholds, Transport
from exporter.domain.transition import Transition
from exporter.nodemap import merging
from exporter.nodemap.loading import load
from exporter.nodemap.nodemap import NodeMap
from exporter.nodemap.paths import STOPPED, Peers
from tests.support.clock import ManualClock
from tests.support.steps import complete

WARNING_AFTER = 120


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def node_map(clock: ManualClock) -> NodeMap:
    """Of the registry `ours`; another one, `theirs`, writes to the same store."""
    made = NodeMap(clock, Thresholds(), instance="ours")
    load(made, Snapshot())
    return made


def pass_time(node_map: NodeMap, clock: ManualClock, seconds: int, *, writes: int | None = None) -> None:
    """Second by second, in which the other registry writes, or does not (`writes`: the count that stays)."""
    for _ in range(seconds):
        clock.advance(1)
        count = int(clock.monotonic_ns() // SECOND) if writes is None else writes
        for source in node_map.peers.observe(clock.monotonic_ns(), {"theirs": count}):
            source.mark_alive(clock.monotonic_ns())
        node_map.tick()


def reported(node_map: NodeMap, clock: ManualClock, name: str = "x") -> None:
    """The other registry reports a heartbeat that it received just now."""
    now_ns = node_map.mesh_time.at(clock.monotonic_ns())
    record = NodeRecord(Registration(name), clock.wall_ns(), now_ns)
    heartbeat = LastHeartbeat(clock.wall_ns(), Transport.HTTP, now_ns, "theirs")
    complete(merging.adopt(node_map, Batch(records={name: record}, heartbeats={name: heartbeat})))


def test_a_peer_is_alive_while_its_count_grows() -> None:
    """For the lease after that, and not once it stopped cleanly."""
    peers = Peers(10)
    assert not peers.alive(0)
    peers.observe(0, {"a": 7})
    assert (peers.alive(10), peers.alive(11)) == (["a"], [])
    peers.observe(20, {"a": 8})
    assert peers.alive(25)
    peers.observe(26, {"a": STOPPED})
    assert not peers.alive(26)


def test_nodes_of_a_registry_that_is_cut_off_are_held_for_its_lease(node_map: NodeMap, clock: ManualClock) -> None:
    """Then they have a grace, and then their age counts on from where it stood."""
    reported(node_map, clock)
    pass_time(node_map, clock, 10)
    node = node_map.get("x")
    pass_time(node_map, clock, WARNING_AFTER, writes=1)
    assert (node.status, node_map.held_since_ns(node, clock.monotonic_ns()) is not None) == (Status.ACTIVE, True)
    pass_time(node_map, clock, 60 + WARNING_AFTER - 20, writes=1)
    statuses = [node.status]
    pass_time(node_map, clock, 20, writes=1)
    assert [*statuses, node.status] == ["active", "warning"]


@pytest.mark.parametrize("learned", ["while the store comes back", "afterwards"])
def test_nodes_of_a_registry_that_began_while_the_store_was_away_are_not_blamed_for_that(
    clock: ManualClock, learned: str
) -> None:
    """It received a heartbeat and could not pass it on; the registry is new to us."""
    store = Source("store", clock.monotonic_ns())
    made = NodeMap(clock, Thresholds(), sources={Transport.HTTP: (store,)}, instance="ours")
    load(made, Snapshot())
    received_ns, now_ns = made.mesh_time.at(clock.monotonic_ns()), clock.wall_ns()
    store.mark_down()
    for _ in range(WARNING_AFTER):
        clock.advance(1)
        made.tick()
    record, heartbeat = (
        NodeRecord(Registration("x"), now_ns, received_ns),
        LastHeartbeat(now_ns, Transport.HTTP, received_ns, "theirs"),
    )
    if learned == "afterwards":
        store.mark_alive(clock.monotonic_ns())
        made.tick()
    complete(merging.adopt(made, Batch(records={"x": record}, heartbeats={"x": heartbeat})))
    statuses = []
    for _ in range(WARNING_AFTER + 80):
        store.mark_alive(clock.monotonic_ns())
        pass_time(made, clock, 1)
        statuses.append(made.get("x").status)
    assert statuses.index(Status.WARNING) >= WARNING_AFTER - 1


def test_a_registry_that_is_new_to_us_was_not_interrupted_by_what_is_long_over(clock: ManualClock) -> None:
    """An outage of the store that ended before its first heartbeat freezes none of its nodes."""
    store = Source("store", clock.monotonic_ns())
    node_map = NodeMap(clock, Thresholds(), sources={Transport.HTTP: (store,)}, instance="ours")
    load(node_map, Snapshot())
    store.mark_down()
    clock.advance(1)
    for _ in range(WARNING_AFTER):
        store.mark_alive(clock.monotonic_ns())
        pass_time(node_map, clock, 1)
    reported(node_map, clock)
    clock.advance(1)
    store.mark_alive(clock.monotonic_ns())
    pass_time(node_map, clock, 1)
    assert node_map.held_since_ns(node_map.get("x"), clock.monotonic_ns()) is None


def test_nodes_of_a_registry_that_stopped_are_not_held(node_map: NodeMap, clock: ManualClock) -> None:
    reported(node_map, clock)
    pass_time(node_map, clock, WARNING_AFTER, writes=STOPPED)
    assert node_map.get("x").status is Status.WARNING


def test_a_node_that_comes_to_us_is_held_no_longer(node_map: NodeMap, clock: ManualClock) -> None:
    reported(node_map, clock)
    pass_time(node_map, clock, 60, writes=1)
    node_map.heartbeat(Heartbeat(node="x"), Transport.HTTP)
    assert node_map.held_since_ns(node_map.get("x"), clock.monotonic_ns()) is None


def test_without_a_lease_heartbeats_over_http_are_refused(node_map: NodeMap, clock: ManualClock) -> None:
    """Those over the bus are not: every registry receives them itself."""
    node_map.commit(node_map.plan(Register(Registration("x"))))
    node_map.paths[Transport.HTTP].lease_until_ns = clock.monotonic_ns()
    node_map.heartbeat(Heartbeat(node="x"), Transport.HTTP)
    clock.advance(0.001)
    with pytest.raises(LeaseExpired):
        node_map.heartbeat(Heartbeat(node="x"), Transport.HTTP)
    node_map.heartbeat(Heartbeat(node="x"), Transport.BUS)


def test_merging_makes_no_heartbeat(node_map: NodeMap, clock: ManualClock) -> None:
    """A node that came and died while we were cut off is offline, and no message is sent."""
    died_ns = node_map.mesh_time.at(clock.monotonic_ns())
    clock.advance(1000)
    record = NodeRecord(Registration("x"), clock.wall_ns() - 1000 * SECOND, died_ns)
    offline_ns = died_ns + 300 * SECOND
    last = Transition("x", Status.WARNING, Status.OFFLINE, offline_ns, record.epoch + 2, offline_ns)
    heartbeat = LastHeartbeat(record.registered_at_ns, Transport.HTTP, died_ns, "theirs")
    complete(merging.merge(node_map, Snapshot([StoredNode(record, heartbeat, last)])))
    node_map.tick()
    node = node_map.get("x")
    assert (node.status, node.last_seen_ns) == (Status.OFFLINE, record.registered_at_ns)
    assert not node_map.pending.transitions
    assert not node_map.pending.heartbeats_over_http


def test_a_node_learned_of_late_meets_its_thresholds_in_time(node_map: NodeMap, clock: ManualClock) -> None:
    """Although it stands behind others with later heartbeats."""
    node_map.commit(node_map.plan(Register(Registration("ours"))))
    received_ns = node_map.mesh_time.at(clock.monotonic_ns()) - 100 * SECOND
    record = NodeRecord(Registration("late"), clock.wall_ns(), received_ns)
    heartbeat = LastHeartbeat(clock.wall_ns(), Transport.BUS, received_ns)
    complete(merging.merge(node_map, Snapshot([StoredNode(record, heartbeat)])))
    pass_time(node_map, clock, 20)
    assert (node_map.get("late").status, node_map.get("ours").status) == (Status.WARNING, Status.ACTIVE)


def test_transitions_stay_in_order_when_the_wall_clock_goes_back(node_map: NodeMap, clock: ManualClock) -> None:
    """To before the registration: numbers count on, and no time that people read goes back."""
    node_map.commit(node_map.plan(Register(Registration("x"))))
    pass_time(node_map, clock, WARNING_AFTER)
    clock.jump_wall(-3600)
    pass_time(node_map, clock, 181)
    node_map.heartbeat(Heartbeat(node="x"), Transport.HTTP)
    made = node_map.pending.transitions
    epoch = node_map.get("x").record.epoch
    assert [(each.to, each.sequence - epoch) for each in made] == [("warning", 1), ("offline", 2), ("active", 3)]
    assert [each.at_ns for each in made] == sorted(each.at_ns for each in made)


def test_what_another_registry_recorded_takes_the_place_of_ours(node_map: NodeMap, clock: ManualClock) -> None:
    """Of one number there is one transition; ours goes on after it."""
    node_map.commit(node_map.plan(Register(Registration("x"))))
    pass_time(node_map, clock, WARNING_AFTER)
    [ours] = node_map.pending.transitions
    theirs = Transition("x", Status.ACTIVE, Status.WARNING, ours.at_ns + 5, ours.sequence, ours.stamp_ns + 5, "theirs")
    complete(merging.adopt(node_map, Batch(transitions=[theirs])))
    assert list(node_map.recent) == [theirs]
    node_map.heartbeat(Heartbeat(node="x"), Transport.HTTP)
    assert node_map.pending.transitions[-1].sequence == theirs.sequence + 1


def test_what_waited_on_the_bus_while_we_were_stopped_brings_nobody_back(clock: ManualClock) -> None:
    """It is of now only once the bus answered what was asked since; over HTTP, the sender waits for its answer."""
    bus = Source("bus", clock.monotonic_ns())
    node_map = NodeMap(clock, Thresholds(), sources={Transport.BUS: (bus,), Transport.HTTP: ()})
    load(node_map, Snapshot())
    node_map.heartbeat(Heartbeat("n"), Transport.BUS, appear=True)
    before_ns = node_map.get("n").last_heartbeat_ns

    clock.advance(400)
    bus.mark_alive(clock.monotonic_ns() - 399 * SECOND)
    node_map.heartbeat(Heartbeat("n"), Transport.BUS)
    assert node_map.get("n").last_heartbeat_ns == before_ns + SECOND, "of the last proof"
    node_map.heartbeat(Heartbeat("new"), Transport.BUS, appear=True)
    assert node_map.find("new") is not None

    clock.advance(1)
    bus.mark_alive(clock.monotonic_ns())
    node_map.heartbeat(Heartbeat("n"), Transport.BUS)
    assert node_map.get("n").last_heartbeat_ns == clock.monotonic_ns()


def stop_and_go(
    node_map: NodeMap, clock: ManualClock, bus: Source, *, stops: int, stop: int, go: int, sent: tuple[int, ...]
) -> list[Status]:
    """A registry that is stopped again and again, and the statuses that it shows of a node on the bus after each.

    `sent`: when the node sent its heartbeats, in seconds of each stop. They wait, and are read before the answer to the
    first ping. In between the registry runs for `go` seconds, in which none comes.
    """
    shown = []
    for _ in range(stops):
        clock.advance(stop)
        for _ in sent:
            node_map.heartbeat(Heartbeat("n"), Transport.BUS)
        node_map.tick()
        for _ in range(go):
            bus.mark_alive(clock.monotonic_ns())
            node_map.tick()
            shown.append(node_map.get("n").status)
            clock.advance(1)
        bus.mark_alive(clock.monotonic_ns())
        node_map.tick()
    return shown


@pytest.fixture
def bus(clock: ManualClock) -> Source:
    return Source("bus", clock.monotonic_ns())


@pytest.fixture
def on_bus(clock: ManualClock, bus: Source) -> NodeMap:
    """A map with a node that is on the bus."""
    thresholds = Thresholds(offline_after=(WARNING_AFTER + 5) * SECOND)
    made = NodeMap(clock, thresholds, sources={Transport.BUS: (bus,)})
    load(made, Snapshot())
    made.heartbeat(Heartbeat("n"), Transport.BUS, appear=True)
    return made


@pytest.mark.parametrize(
    ("stop", "go"), [(36, 58), (48, 52), (60, 48), (63, 45), (72, 36), (84, 24)], ids=lambda seconds: f"{seconds} s"
)
def test_a_registry_that_stops_again_and_again_blames_no_node(
    on_bus: NodeMap, clock: ManualClock, bus: Source, stop: int, go: int
) -> None:
    """Each time for 30 to 70 % of `warning_after`; the node's heartbeats all come while it is stopped."""
    shown = stop_and_go(on_bus, clock, bus, stops=6, stop=stop, go=go, sent=(2, stop - 2))
    assert set(shown) == {Status.ACTIVE}


@pytest.mark.parametrize("stop", [36, 63, 84])
def test_a_node_that_died_in_a_stop_goes_offline_all_the_same(
    on_bus: NodeMap, clock: ManualClock, bus: Source, stop: int
) -> None:
    """What waited dates from the last proof: its age does not start again when it is read."""
    clock.advance(stop)
    before_ns = on_bus.get("n").last_heartbeat_ns
    on_bus.heartbeat(Heartbeat("n"), Transport.BUS)
    assert on_bus.get("n").last_heartbeat_ns == before_ns
    shown = stop_and_go(on_bus, clock, bus, stops=1, stop=0, go=60 + WARNING_AFTER + 6, sent=())
    assert shown[59 + WARNING_AFTER :] == [Status.ACTIVE, *[Status.WARNING] * 6]
    assert stop_and_go(on_bus, clock, bus, stops=1, stop=0, go=1, sent=()) == [Status.OFFLINE]


def test_events_that_come_late_date_from_the_last_proof(on_bus: NodeMap, clock: ManualClock, bus: Source) -> None:
    """Without any stop too, as in a flood; a node that returns by one is back."""
    for _ in range(20):
        clock.advance(1)
        on_bus.tick()
    on_bus.heartbeat(Heartbeat("n"), Transport.BUS)
    assert on_bus.get("n").last_heartbeat_ns == clock.monotonic_ns() - 20 * SECOND
    bus.mark_alive(clock.monotonic_ns() - 15 * SECOND)
    on_bus.tick()
    on_bus.heartbeat(Heartbeat("n"), Transport.BUS)
    assert on_bus.get("n").last_heartbeat_ns == clock.monotonic_ns() - 15 * SECOND
    bus.mark_alive(clock.monotonic_ns() - 1 * SECOND)
    on_bus.heartbeat(Heartbeat("n"), Transport.BUS)
    assert on_bus.get("n").last_heartbeat_ns == clock.monotonic_ns()


def read_behind(node_map: NodeMap, clock: ManualClock, bus: Source, seconds: int) -> list[bool]:
    """A flood, in which the bus is read without end and no ping of its time is answered; whether we were blind."""
    blind = []
    for _ in range(seconds):
        clock.advance(1)
        bus.mark_heard(clock.monotonic_ns(), node_map.thresholds.gap)
        node_map.tick()
        blind.append(node_map.reception[Transport.BUS].blind(clock.monotonic_ns()))
    return blind


def test_what_waits_unread_makes_nobody_blind(on_bus: NodeMap, clock: ManualClock, bus: Source) -> None:
    """All of it is received, if late: no age grows meanwhile, and none is spared afterwards."""
    reception = on_bus.reception[Transport.BUS]
    assert not any(read_behind(on_bus, clock, bus, WARNING_AFTER + 60))
    assert on_bus.get("n").status is Status.ACTIVE
    assert on_bus.held_since_ns(on_bus.get("n"), clock.monotonic_ns()) is None
    [_, [(from_ns, to_ns)]] = merging.mark_of(on_bus).outages.values()
    assert to_ns - from_ns == (WARNING_AFTER + 60) * SECOND, "if we end now"

    for ago in range(WARNING_AFTER + 60, -1, -1):
        bus.mark_alive(clock.monotonic_ns() - ago * SECOND)
        on_bus.take_proofs()
    on_bus.tick()
    assert (reception.outages, reception.blind_total_ns) == ([], 0)
    assert on_bus.get("n").status is Status.WARNING


def test_a_stop_amid_what_waits_unread_is_an_outage(on_bus: NodeMap, clock: ManualClock, bus: Source) -> None:
    """Until a ping that was sent after it is answered, whatever comes before."""
    read_behind(on_bus, clock, bus, 20)
    clock.advance(10)
    assert read_behind(on_bus, clock, bus, 10) == [True] * 10

    for ago in [*range(40, 19, -1), *range(10, -1, -1)]:
        bus.mark_alive(clock.monotonic_ns() - ago * SECOND)
        on_bus.take_proofs()
    assert on_bus.reception[Transport.BUS].blind_total_ns == 10 * SECOND
    assert not on_bus.reception[Transport.BUS].blind(clock.monotonic_ns())


@pytest.mark.parametrize(
    ("thresholds", "stopped", "within"),
    [
        (Thresholds(), 400, 5),
        (Thresholds(warning_after=4 * SECOND, offline_after=8 * SECOND, heartbeat_interval=SECOND // 2), 3, 1),
    ],
    ids=["usual", "short"],
)
def test_over_http_nothing_is_taken_for_a_moment_after_a_stop(
    node_map: NodeMap, clock: ManualClock, thresholds: Thresholds, stopped: int, within: float
) -> None:
    """Where another registry judges our nodes; alone on a store, nobody does. It is a tenth of `warning_after`, but a
    second at least.
    """  # noqa: D205 - one sentence
    node_map.reconfigure(thresholds, SiteRule(), Limits())
    reported(node_map, clock, "n")
    path = node_map.paths[Transport.HTTP]
    clock.advance(stopped)
    node_map.heartbeat(Heartbeat("n"), Transport.HTTP)

    clock.advance(stopped)
    path.lease_until_ns = clock.monotonic_ns() + 100 * SECOND
    for seconds in (0, within - 0.1):
        clock.advance(seconds)
        with pytest.raises(LeaseExpired):
            node_map.heartbeat(Heartbeat("n"), Transport.HTTP)
    clock.advance(0.1)
    node_map.heartbeat(Heartbeat("n"), Transport.HTTP)
    assert node_map.get("n").last_heartbeat_ns == clock.monotonic_ns()


def test_a_start_holds_the_nodes_of_a_registry_that_is_cut_off(clock: ManualClock) -> None:
    """As far as its mark says it received; then it goes on, or its lease ends, and the node's age counts again."""
    for writes in (1, None):
        node_map = NodeMap(clock, Thresholds(), instance="ours")
        now_ns = clock.wall_ns()
        heard_ns = now_ns - (WARNING_AFTER + 20) * SECOND
        marks = {"theirs": Mark(heard_ns + 30 * SECOND), "ours": Mark(now_ns)}
        stored = StoredNode(
            NodeRecord(Registration("x"), heard_ns, heard_ns, epoch=heard_ns),
            LastHeartbeat(heard_ns, Transport.HTTP, heard_ns, "theirs"),
        )
        load(node_map, Snapshot([stored], mark=Mark(now_ns), marks=marks))
        node = node_map.get("x")
        statuses = [node.status]
        pass_time(node_map, clock, 40, writes=writes)
        statuses.append(node.status)
        pass_time(node_map, clock, 60 + WARNING_AFTER, writes=writes)
        assert [*statuses, node.status] == ["active", "active", "warning"]


def test_a_registry_that_is_cut_off_takes_nobody_new(node_map: NodeMap, clock: ManualClock) -> None:
    """The others hold the nodes that they know through it, and do not know which came to it since."""
    reported(node_map, clock, "theirs")
    node_map.commit(node_map.plan(Register(Registration("ours"))))
    path = node_map.own_paths[Transport.HTTP]
    path.lease_until_ns = clock.monotonic_ns() + 100 * SECOND
    path.newcomers_until_ns = clock.monotonic_ns() + 5 * SECOND
    pass_time(node_map, clock, 6)
    node_map.heartbeat(Heartbeat("ours"), Transport.HTTP)
    with pytest.raises(LeaseExpired):
        node_map.heartbeat(Heartbeat("theirs"), Transport.HTTP)
    path.newcomers_until_ns = clock.monotonic_ns() + 5 * SECOND
    node_map.heartbeat(Heartbeat("theirs"), Transport.HTTP)
    assert node_map.get("theirs").path is path


def test_who_came_to_a_registry_that_is_cut_off_leaves_it_in_time(node_map: NodeMap, clock: ManualClock) -> None:
    """The others know the nodes that the store knows through it, and none that came to it since."""
    reported(node_map, clock)
    path = node_map.own_paths[Transport.HTTP]
    path.lease_until_ns = clock.monotonic_ns() + WARNING_AFTER * SECOND
    path.newcomers_until_ns = clock.monotonic_ns() + node_map.thresholds.newcomers
    node_map.heartbeat(Heartbeat("x"), Transport.HTTP)
    pass_time(node_map, clock, 50)
    node_map.heartbeat(Heartbeat("x"), Transport.HTTP)
    pass_time(node_map, clock, 6)
    with pytest.raises(LeaseExpired):
        node_map.heartbeat(Heartbeat("x"), Transport.HTTP)
    path.newcomers.clear()
    node_map.heartbeat(Heartbeat("x"), Transport.HTTP)


@pytest.mark.parametrize(
    ("interval", "warning_after", "seconds"), [(30, 120, 55), (10, 30, 7), (5, 60, 30), (10, 20, 2)]
)
def test_newcomers_reach_another_registry_before_they_are_missing(
    interval: int, warning_after: int, seconds: int
) -> None:
    """What the others know of one is an interval older than the loss; its next comes an interval later."""
    assert Thresholds(interval * SECOND, warning_after * SECOND).newcomers == seconds * SECOND


def test_a_start_knows_what_each_registry_missed(clock: ManualClock) -> None:
    """One that received all the time did not receive what was sent to this one before it ended, or to a third."""
    node_map = NodeMap(clock, Thresholds(), instance="ours")
    now_ns = clock.wall_ns()
    heard_ns = now_ns - (WARNING_AFTER + 20) * SECOND
    nodes = [
        StoredNode(
            NodeRecord(Registration(name), heard_ns, heard_ns, epoch=heard_ns),
            LastHeartbeat(heard_ns, transport, heard_ns, via),
        )
        for name, transport, via in [
            ("ours", Transport.HTTP, "ours"),
            ("theirs", Transport.HTTP, "theirs"),
            ("blind", Transport.HTTP, "blind"),
            ("bus", Transport.BUS, ""),
        ]
    ]
    blind = {Transport.HTTP: [(heard_ns + 60 * SECOND, heard_ns + 80 * SECOND)]}
    marks = {"ours": Mark(heard_ns + SECOND), "theirs": Mark(now_ns), "blind": Mark(now_ns, blind)}
    load(node_map, Snapshot(nodes, mark=Mark(now_ns), marks=marks))
    statuses = {node.name: node.status for node in node_map.nodes()}
    assert statuses == {"ours": "active", "theirs": "warning", "blind": "active", "bus": "warning"}
    assert node_map.held_since_ns(node_map.get("ours"), clock.monotonic_ns()) is not None
    pass_time(node_map, clock, 60 + WARNING_AFTER)
    assert node_map.get("ours").status is Status.WARNING
