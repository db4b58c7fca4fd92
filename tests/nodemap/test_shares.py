"""Several registries that see one change of the whole mesh: each writes its share, and what nobody else wrote."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from exporter.domain.durable import Batch, LastHeartbeat, Snapshot
from exporter.domain.heartbeat import Heartbeat
from exporter.domain.status import Status, Thresholds, Transport
from exporter.domain.transition import Transition
from exporter.nodemap import merging
from exporter.nodemap.nodemap import NodeMap
from exporter.nodemap.pending import PendingChanges
from exporter.nodemap.shares import PATIENCE, Share
from exporter.stores.memory import MemoryStore
from tests.support.clock import ManualClock
from tests.support.steps import complete

INSTANCES = ("a", "b", "c")
NODES = [f"node-{number}" for number in range(900)]
TOGETHER = 100


def go_missing(clock: ManualClock, *node_maps: NodeMap) -> None:
    """Nobody is received until all nodes are missing."""
    for _ in range(121):
        clock.advance(1)
        for node_map in node_maps:
            node_map.tick()


class Registries:
    """Three maps with the same nodes, on one store; a batch reaches the others at once, or once they read it."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.maps = {name: NodeMap(self.clock, Thresholds(), instance=name, by=name) for name in INSTANCES}
        self.store = MemoryStore()
        self.written: Counter[str] = Counter()
        """Transitions that each wrote, needed or not."""
        self.recorded: Counter[str] = Counter()
        """And of each node."""
        records = None
        for node_map in self.maps.values():
            if records is None:
                self.beat(node_map, NODES)
                records = {node.name: node.record for node in node_map.nodes()}
                asyncio.run(self.store.save(Batch(records=records)))
            complete(merging.adopt(node_map, Batch(records=records)))
            node_map.pending.take(2 * len(NODES))
        self.divide(INSTANCES)

    def beat(self, node_map: NodeMap, names: list[str]) -> None:
        for name in names:
            node_map.heartbeat(Heartbeat(name), Transport.BUS, appear=True)

    def divide(self, alive: tuple[str, ...]) -> None:
        for name, node_map in self.maps.items():
            node_map.pending.divide(Share(name, [other for other in alive if other != name]))

    def lose_all(self) -> None:
        for node_map in self.maps.values():
            self.beat(node_map, NODES)
            node_map.pending.heartbeats.clear()
        go_missing(self.clock, *self.maps.values())

    def write(self, name: str) -> Batch:
        """One batch of a registry; what the others shall adopt."""
        node_map = self.maps[name]
        batch = merging.batch_of(node_map, merging.take(node_map, TOGETHER))
        saved = asyncio.run(self.store.save(batch))
        self.written[name] += len(batch.transitions)
        self.recorded.update(transition.node for transition in saved.transitions)
        return Batch(transitions=saved.transitions)

    def adopt(self, batch: Batch, by: str) -> None:
        for name, node_map in self.maps.items():
            if name != by:
                complete(merging.adopt(node_map, batch))


@pytest.fixture
def registries() -> Registries:
    return Registries()


def test_each_node_falls_to_one_registry():
    shares = [Share(name, INSTANCES) for name in INSTANCES]
    fallen = [[share.has(node) for share in shares] for node in NODES]
    assert all(sum(each) == 1 for each in fallen)
    assert min(sum(each) for each in zip(*fallen, strict=True)) > len(NODES) / 4
    assert all(Share("a").has(node) for node in NODES)


def test_a_change_of_the_mesh_is_written_once(registries: Registries) -> None:
    """Not by each registry, of which the store would take one."""
    registries.lose_all()
    while any(node_map.pending.count for node_map in registries.maps.values()):
        for name in INSTANCES:
            registries.adopt(registries.write(name), name)
    assert registries.recorded == Counter(NODES)
    assert registries.written.total() == len(NODES)
    assert min(registries.written.values()) > len(NODES) / 4


def test_what_falls_to_a_registry_that_ended_is_written_by_the_others(registries: Registries) -> None:
    """Before anybody notices that it ended, once they have nothing else to write."""
    registries.lose_all()
    left = [registries.maps[name].pending for name in "ab"]
    for _ in range(20):
        for name in "ab":
            registries.adopt(registries.write(name), name)
        registries.clock.advance(0.5)
    assert registries.recorded == Counter(NODES)
    assert [pending.count for pending in left] == [0, 0]


def test_what_others_go_on_to_write_is_left_to_them_for_a_while():
    """As long as some of it comes, and for a few seconds: it may be another that ended."""
    share, pending = Share("a", ["b"]), PendingChanges()
    pending.divide(share)
    for node in NODES:
        pending.note_transition(Transition(node, Status.ACTIVE, Status.WARNING, 1, by="a"), len(NODES), 0)

    def take(now_ns: int) -> int:
        pending.left.note_recorded(replace(next(iter(pending.left)), by="b"))
        return len(pending.take(len(NODES) // 3, now_ns=now_ns).transitions)

    ours = sum(share.has(node) for node in NODES)
    assert [take(0), take(0), take(PATIENCE - 1)] == [len(NODES) // 3, ours - len(NODES) // 3, 0]
    assert not pending.in_haste
    assert take(PATIENCE) == len(NODES) // 3
    assert pending.in_haste
    assert len(pending.take(len(NODES), now_ns=PATIENCE).transitions) == len(NODES) - len(NODES) // 3 - ours - 4


def test_one_batch_right_after_the_other_is_no_sign_that_others_ended(registries: Registries) -> None:
    """What they wrote meanwhile waits to be read: nothing is written twice for that."""
    registries.lose_all()
    ours = sum(Share("a", INSTANCES).has(node) for node in NODES)
    registries.adopt(registries.write("b"), "b")
    for _ in range(20):
        registries.write("a")
    assert registries.written["a"] == ours
    registries.clock.advance(0.9)
    registries.adopt(registries.write("c"), "c")
    registries.write("a")
    registries.clock.advance(0.9)
    registries.write("a")
    assert registries.written["a"] == ours
    registries.clock.advance(0.1)
    registries.write("a")
    assert registries.written["a"] > ours, "nothing came for a second"


def test_our_own_transition_whose_acknowledgement_was_lost_is_written_again(registries: Registries) -> None:
    """The store says then that it is ours to announce."""
    registries.lose_all()
    node_map = registries.maps["a"]
    [*left] = node_map.pending.left
    complete(merging.adopt(node_map, Batch(transitions=left[:1])))
    assert [*node_map.pending.left] == left


def test_a_return_from_what_was_not_recorded_is_not_written(registries: Registries) -> None:
    """Another registry received the heartbeat first, before the node was offline there: neither is our next."""
    first, second = registries.maps["a"], registries.maps["b"]
    name = next(name for name in NODES if Share("a", INSTANCES).has(name))
    registries.lose_all()
    went = [transition for transition in first.pending.transitions if transition.node == name]
    registries.adopt(Batch(transitions=went), "a")
    registries.beat(first, [name])
    back = first.pending.transitions[-1]
    for _ in range(180):
        registries.clock.advance(1)
        second.tick()
    registries.beat(second, [name])
    ours = [each for each in second.pending.left if each.node == name]
    assert [(each.from_, each.to) for each in ours] == [("warning", "offline"), ("offline", "active")]
    registries.adopt(Batch(transitions=[back]), "a")
    assert [each for each in second.pending.left if each.node == name] == []
    assert [each for each in second.recent if each.node == name] == [*went, back]
    complete(merging.merge(second, Snapshot(lost=True)))
    assert [each for each in second.pending.history if each.node == name] == [*went, back]


def test_what_follows_on_a_return_that_was_not_written_has_the_number_that_others_give_it(
    registries: Registries,
) -> None:
    """A number ahead of theirs, it would be recorded after what they record next, whatever that is."""
    first, second = registries.maps["a"], registries.maps["b"]
    name = next(name for name in NODES if Share("a", INSTANCES).has(name))
    registries.lose_all()
    registries.adopt(Batch(transitions=[each for each in first.pending.transitions if each.node == name]), "a")
    registries.beat(first, [name])
    for _ in range(180):
        registries.clock.advance(1)
        second.tick()
    registries.beat(second, [name])
    back = first.pending.transitions[-1]
    registries.adopt(Batch(transitions=[back]), "a")
    for _ in range(130):
        registries.clock.advance(1)
        second.tick()
    [ours] = [each for each in second.pending.left if each.node == name]
    assert (ours.sequence, ours.to) == (back.sequence + 1, Status.WARNING)


def test_a_return_is_written_with_its_heartbeat(registries: Registries) -> None:
    """However many wait: at a start, who is back has the heartbeat that says so. Nobody else need write it."""
    registries.lose_all()
    while any(node_map.pending.count for node_map in registries.maps.values()):
        for name in INSTANCES:
            registries.adopt(registries.write(name), name)
    for node_map in registries.maps.values():
        registries.beat(node_map, NODES)
    batch = merging.batch_of(registries.maps["a"], merging.take(registries.maps["a"], TOGETHER))
    back = {transition.node for transition in batch.transitions}
    assert len(back) == TOGETHER
    assert back <= batch.heartbeats.keys()

    def to_write(name: str) -> set[str]:
        node_map = registries.maps[name]
        return {node.name for node in node_map.nodes() if node_map.pending.has_heartbeat(node)}

    registries.adopt(Batch(transitions=batch.transitions), "a")
    assert to_write("b") == {*NODES} - back
    theirs = merging.batch_of(registries.maps["b"], merging.take(registries.maps["b"], len(NODES)))
    assert theirs.heartbeats.keys() == {each.node for each in theirs.transitions}
    assert all(Share("b", INSTANCES).has(node) for node in theirs.heartbeats), "the rest is left to others"

    registries.clock.advance(2)
    registries.beat(registries.maps["c"], NODES)
    registries.adopt(Batch(transitions=theirs.transitions), "b")
    assert to_write("c") == {*NODES}, "of a later heartbeat nobody else knows"


def test_a_return_that_we_read_later_is_by_the_same_heartbeat(registries: Registries) -> None:
    """It waited on the bus, where many came at once; one that came since is another."""
    registries.lose_all()
    first, second = registries.maps["a"], registries.maps["b"]
    node = second.get(next(name for name in NODES if Share("a", INSTANCES).has(name)))
    registries.beat(first, [node.name])
    back = Batch(transitions=first.pending.transitions[-1:])
    registries.clock.advance(4)
    registries.beat(second, [node.name])
    registries.adopt(back, "a")
    assert not second.pending.has_heartbeat(node)
    registries.beat(second, [node.name])
    assert second.pending.has_heartbeat(node)


def test_over_http_a_heartbeat_is_ours_to_write():
    clock = ManualClock()
    node_map = NodeMap(clock, Thresholds(), instance="a", by="a")
    node_map.heartbeat(Heartbeat("n"), Transport.BUS, appear=True)
    go_missing(clock, node_map)
    node_map.heartbeat(Heartbeat("n"), Transport.HTTP)
    [_, back] = node_map.pending.transitions
    complete(merging.adopt(node_map, Batch(transitions=[replace(back, by="b")])))
    assert merging.batch_of(node_map, merging.take(node_map, 10)).heartbeats == {
        "n": LastHeartbeat(clock.wall_ns(), Transport.HTTP, node_map.mesh_time.at(clock.monotonic_ns()), "a")
    }


def test_heartbeats_over_http_go_first(registries: Registries) -> None:
    """Others know of them through us alone; those on the bus they receive themselves."""
    node_map = registries.maps["a"]
    registries.beat(node_map, NODES)
    node_map.heartbeat(Heartbeat(NODES[7]), Transport.HTTP)
    assert node_map.get(NODES[7]) in merging.take(node_map, TOGETHER).heartbeats


STEPS = st.one_of(
    st.tuples(st.just("note"), st.sampled_from(NODES[:6])),
    st.tuples(st.just("divide"), st.sampled_from([(), ("b",), ("c",), ("b", "c")])),
    st.tuples(st.just("take"), st.integers(1, 8)),
    st.tuples(st.just("refuse"), st.integers(1, 8)),
    st.tuples(st.just("recorded"), st.integers(0, 30)),
)


@given(st.lists(STEPS, max_size=60))
def test_a_nodes_transitions_are_taken_in_order_whichever_registries_come_and_go(steps):
    """And each but those that others recorded, which are recorded in order too."""
    pending, numbers, by_others = PendingChanges(), Counter[str](), set()
    made: dict[str, list[int]] = defaultdict(list)
    taken: dict[str, list[int]] = defaultdict(list)
    for step, value in [*steps, ("divide", ()), ("take", 100)]:
        if step == "note":
            numbers[value] += 1
            made[value].append(numbers[value])
            transition = Transition(value, Status.ACTIVE, Status.WARNING, 1, numbers[value], 1, "a")
            pending.note_transition(transition, len(NODES), 0)
        elif step == "divide":
            pending.divide(Share("a", value))
        elif step == "take":
            for each in pending.take(value).transitions:
                taken[each.node].append(each.sequence)
        elif step == "refuse":
            pending.give_back(pending.take(value))
        elif len(pending.left) > value:
            left = [*pending.left][value]
            pending.left.note_recorded(replace(left, by="b"))
            by_others.add((left.node, left.sequence))
    assert pending.count == 0
    for node, sequences in taken.items():
        assert sequences == [each for each in made[node] if (node, each) not in by_others]
