"""The node map against a plain, slow model of the same rules, second by second."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from exporter.domain.clock import SECOND
from exporter.domain.command import Depart, Register, SetLifecycle
from exporter.domain.durable import Batch, LastHeartbeat, Snapshot, StoredNode
from exporter.domain.errors import DepartedNode, UnknownNode
from exporter.domain.heartbeat import Heartbeat
from exporter.domain.lifecycle import IN_SERVICE, Lifecycle, Phase
from exporter.domain.node import NodeRecord, Tombstone
from exporter.domain.reception import Source
from exporter.domain.registration import Registration
from exporter.domain.site import SiteRule
from exporter.domain.status import Status, Thresholds, Transport
from exporter.domain.transition import Transition
from exporter.nodemap import merging
from exporter.nodemap.loading import load
from exporter.nodemap.nodemap import NodeMap
from tests.support.clock import ManualClock
from tests.support.examples import examples

WARNING, OFFLINE, FORGET, GRACE, GAP, BUDGET, INTERVAL, SLEEP_MAX = 20, 50, 200, 10, 2, 50, 5, 60
THRESHOLDS = Thresholds(
    heartbeat_interval=INTERVAL * SECOND,
    warning_after=WARNING * SECOND,
    offline_after=OFFLINE * SECOND,
    forget_after=FORGET * SECOND,
    sleep_max=SLEEP_MAX * SECOND,
)
SITE_RULE = SiteRule(min_nodes=2, disrupted_ratio=0.5, recent=30 * SECOND)
NAMES = st.sampled_from(["ann", "bob", "cyd"])
SHORT = st.integers(1, 12)
LONG = st.integers(1, 130)
STATUSES = st.sampled_from([None, "active", "active", "draining", "sleeping", "busy"])


@dataclass
class Modelled:
    """One node, as the rules read: seconds that count, and what kept others from counting."""

    transport: Transport
    age: int = 0
    grace_spent: int = 0
    awaits_grace: bool = False
    """Blind time came after its last heartbeat."""
    phase: Phase = Phase.IN_SERVICE
    until: int = 0
    by_node: bool = False
    sleeping: bool = False
    ttl: int = 0
    offline_for: int = 0

    @property
    def status(self) -> Status:
        if self.age < WARNING:
            return Status.ACTIVE
        return Status.WARNING if self.age <= OFFLINE else Status.OFFLINE

    def record_heartbeat(self, transport: Transport) -> None:
        self.transport = transport
        self.age = self.grace_spent = self.offline_for = 0
        self.awaits_grace = False


@dataclass
class Store:
    """What a store would keep, without anything of a store's own rules but the latest word."""

    records: dict[str, NodeRecord] = field(default_factory=dict)
    tombstones: dict[str, Tombstone] = field(default_factory=dict)
    heartbeats: dict[str, LastHeartbeat] = field(default_factory=dict)
    last: dict[str, Transition] = field(default_factory=dict)

    def keep(self, result: NodeRecord | Tombstone) -> None:
        if isinstance(result, Tombstone):
            for part in (self.records, self.heartbeats, self.last):
                part.pop(result.name, None)
            self.tombstones[result.name] = result
        else:
            self.tombstones.pop(result.name, None)
            self.records[result.name] = result

    def flush(self, node_map: NodeMap) -> None:
        """All that waits, a few at a time."""
        self.save(merging.batch_of(node_map, merging.take(node_map, 2)))
        while node_map.pending:
            self.save(merging.batch_of(node_map, merging.take(node_map, 2)))

    def save(self, batch: Batch) -> None:
        for record in batch.records.values():
            self.keep(record)
        for tombstone in batch.tombstones.values():
            self.keep(tombstone)
        self.heartbeats.update(
            {name: heartbeats for name, heartbeats in batch.heartbeats.items() if name in self.records}
        )
        for transition in batch.transitions:
            if transition.node in self.records:
                self.last[transition.node] = transition
        self.mark = batch.mark

    def snapshot(self) -> Snapshot:
        nodes = [
            StoredNode(record, self.heartbeats[name], self.last.get(name)) for name, record in self.records.items()
        ]
        nodes.sort(key=lambda stored: stored.record.epoch)
        return Snapshot(nodes, list(self.tombstones.values()), self.mark)


class MapMachine(RuleBasedStateMachine):
    """Everything that may happen to a mesh, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.store = Store()
        self.model: dict[str, Modelled] = {}
        self.departed: dict[str, int] = {}
        self.late_from: dict[str, int] = {}
        self.second = 0
        self.grace_left = dict.fromkeys(Transport, 0)
        self.bus_lost = False
        self.start()

    def start(self) -> None:
        self.bus = Source("bus", self.clock.monotonic_ns())
        self.map = NodeMap(self.clock, THRESHOLDS, site_rule=SITE_RULE, sources={Transport.BUS: (self.bus,)})

    # The model's own time

    def count_second(self, *, blind: frozenset[Transport]) -> None:
        self.second += 1
        for transport in Transport:
            graced = transport not in blind and self.grace_left[transport] > 0
            for node in self.model.values():
                if node.transport is not transport:
                    continue
                if transport in blind:
                    node.awaits_grace = True
                elif graced and node.awaits_grace and node.grace_spent < BUDGET:
                    node.grace_spent += 1
                else:
                    node.age += 1
            if graced:
                self.grace_left[transport] -= 1

    def settle(self) -> None:
        for name, node in list(self.model.items()):
            if node.age >= (node.ttl or FORGET):
                del self.model[name]
            elif node.phase is not Phase.IN_SERVICE and self.second >= node.until and node.status is Status.ACTIVE:
                node.phase = Phase.IN_SERVICE

    def receives(self) -> frozenset[Transport]:
        return frozenset({Transport.BUS}) if self.bus_lost else frozenset()

    # What happens

    @rule(name=NAMES, ttl=st.sampled_from([0, 0, 0, 15, 90]), gpus=st.integers(0, 2), site=st.sampled_from(["", "a"]))
    def register(self, name: str, ttl: int, gpus: int, site: str) -> None:
        registration = Registration(name, ttl_ns=ttl * SECOND, gpus=gpus, site=site, role="lead" if gpus else "compute")
        planned = self.map.plan(Register(registration))
        self.store.keep(planned.result)
        self.map.commit(planned)
        node = self.model.setdefault(name, Modelled(Transport.HTTP))
        node.record_heartbeat(Transport.HTTP)
        node.ttl = ttl
        if node.sleeping:
            node.phase, node.sleeping = Phase.IN_SERVICE, False
        self.departed.pop(name, None)
        self.late_from.pop(name, None)
        self.settle()

    @rule(
        name=NAMES,
        status=st.sampled_from([None, "active", "active", "draining", "sleeping", "busy"]),
        bus=st.booleans(),
    )
    def heartbeat(self, name: str, status: str | None, bus: bool) -> None:
        transport = Transport.BUS if bus else Transport.HTTP
        if bus and self.bus_lost:
            return
        beat = Heartbeat(node=name, status=status)
        if name not in self.model and self.second - self.late_from.get(name, -99) < 2 * INTERVAL:
            expected: type[Exception] | None = DepartedNode
        else:
            expected = UnknownNode if name not in self.model and not bus else None
        if expected is not None:
            with pytest.raises(expected):
                self.map.heartbeat(beat, transport, appear=bus)
            return
        self.map.heartbeat(beat, transport, appear=bus)
        node = self.model.setdefault(name, Modelled(transport))
        self.departed.pop(name, None)
        self.late_from.pop(name, None)
        node.record_heartbeat(transport)
        self.settle()
        self.take_status(node, status)

    def take_status(self, node: Modelled, status: str | None) -> None:
        if node.phase is not Phase.IN_SERVICE and not node.by_node:
            return
        if status == "sleeping":
            node.phase, node.until, node.by_node, node.sleeping = Phase.MAINTENANCE, self.second + SLEEP_MAX, True, True
        elif status == "draining":
            if node.phase is not Phase.DRAINING:
                node.phase, node.until, node.by_node, node.sleeping = Phase.DRAINING, self.second + 86400, True, False
        elif node.sleeping or status == "active":
            node.phase, node.sleeping = Phase.IN_SERVICE, False

    @rule(name=NAMES)
    def depart(self, name: str) -> None:
        if name not in self.model:
            return
        planned = self.map.plan(Depart(name))
        self.store.keep(planned.result)
        self.map.commit(planned)
        del self.model[name]
        self.departed[name] = self.late_from[name] = self.second

    @rule(name=NAMES, phase=st.sampled_from(list(Phase)), seconds=SHORT)
    def set_lifecycle(self, name: str, phase: Phase, seconds: int) -> None:
        if name not in self.model:
            return
        until_ns = self.clock.wall_ns() + seconds * SECOND
        lifecycle = IN_SERVICE if phase is Phase.IN_SERVICE else Lifecycle(phase, until_ns, "planned")
        planned = self.map.plan(SetLifecycle(name, lifecycle))
        self.store.keep(planned.result)
        self.map.commit(planned)
        node = self.model[name]
        node.phase, node.until, node.by_node, node.sleeping = phase, self.second + seconds, False, False

    @rule(seconds=LONG)
    def time_passes(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.advance(1)
            if not self.bus_lost:
                self.bus.mark_alive(self.clock.monotonic_ns())
            self.map.tick()
            self.count_second(blind=self.receives())
            self.settle()

    @rule(seconds=LONG)
    def the_process_stalls(self, seconds: int) -> None:
        self.clock.advance(seconds)
        if not self.bus_lost:
            self.bus.mark_alive(self.clock.monotonic_ns())
        self.map.tick()
        self.map.tick()
        everything = frozenset(Transport)
        for _ in range(seconds):
            self.count_second(blind=everything if seconds > GAP else self.receives())
        if seconds > GAP:
            self.reception_returns(everything - self.receives())
        self.settle()

    @precondition(lambda self: not self.bus_lost)
    @rule()
    def the_bus_is_lost(self) -> None:
        self.bus.mark_down()
        self.bus_lost = True

    @precondition(lambda self: self.bus_lost)
    @rule()
    def the_bus_returns(self) -> None:
        self.clock.advance(1)
        self.bus.mark_alive(self.clock.monotonic_ns())
        self.map.tick()
        self.count_second(blind=self.receives())
        self.bus_lost = False
        self.reception_returns(frozenset({Transport.BUS}))
        self.settle()

    @rule(seconds=LONG)
    def the_process_restarts(self, seconds: int) -> None:
        self.store.flush(self.map)
        self.clock.advance(seconds)
        self.bus_lost = False
        self.start()
        load(self.map, self.store.snapshot())
        for _ in range(seconds):
            self.count_second(blind=frozenset(Transport))
        # No late heartbeat could have come meanwhile; what the start before left out is not known any more.
        self.late_from = {name: second + seconds for name, second in self.departed.items()}
        self.reception_returns(frozenset(Transport))
        self.settle()

    @precondition(lambda self: all(node.phase is Phase.IN_SERVICE for node in self.model.values()))
    @rule(seconds=st.sampled_from([3600, -3600]))
    def the_wall_clock_jumps(self, seconds: int) -> None:
        """Ends of maintenance are appointments by the wall clock: with those it is another story."""
        self.clock.jump_wall(seconds)
        self.map.tick()

    def reception_returns(self, transports: frozenset[Transport]) -> None:
        for transport in transports:
            self.grace_left[transport] = GRACE

    # What must hold

    @invariant()
    def every_node_stands_as_the_rules_say(self) -> None:
        expected = {name: (node.status, node.age, node.phase) for name, node in self.model.items()}
        actual = {
            node.name: (node.status, self.map.counted_age_ns(node) / SECOND, node.lifecycle.phase)
            for node in self.map.nodes()
        }
        assert actual == expected

    @invariant()
    def nodes_are_held_exactly_while_their_time_stands_still(self) -> None:
        now_ns = self.clock.monotonic_ns()
        for node in self.map.nodes():
            modelled = self.model[node.name]
            blind = node.transport in self.receives() and self.map.reception[node.transport].blind(now_ns)
            graced = self.grace_left[node.transport] > 0 and modelled.awaits_grace and modelled.grace_spent < BUDGET
            assert (self.map.held_since_ns(node, now_ns) is not None) == (blind or graced), node.name

    @invariant()
    def totals_are_what_counting_gives(self) -> None:
        totals, nodes = self.map.totals, list(self.map.nodes())
        assert totals.statuses == Counter(node.status for node in nodes)
        assert {*totals.by_role} == {node.facts.role for node in nodes}
        assert {*totals.by_site} == {node.facts.site for node in nodes if node.facts.site}
        for role, counts in totals.by_role.items():
            assert counts == Counter(node.status for node in nodes if node.facts.role == role)
        for site, counts in totals.by_site.items():
            assert counts == Counter(node.status for node in nodes if node.facts.site == site)
        assert +totals.gpus == +Counter(node.status for node in nodes for _ in range(node.facts.gpus))

    @invariant()
    def every_node_waits_in_one_queue_of_its_own_status(self) -> None:
        waiting = [node for queue in self.map.queues for node in queue.nodes.values()]
        assert Counter(node.name for node in waiting) == Counter(self.model.keys())
        for queue in self.map.queues:
            assert all(queue.status in (node.status, None) for node in queue.nodes.values())

    @invariant()
    def transitions_of_a_node_follow_one_another(self) -> None:
        last: dict[str, Status] = {}
        for transition in self.map.recent:
            assert transition.from_ is not transition.to
            assert last.get(transition.node, transition.from_) is transition.from_ or transition.from_ is Status.ACTIVE
            last[transition.node] = transition.to


MapMachine.TestCase.settings = settings(max_examples=examples(150), stateful_step_count=40, deadline=None)
test_map_machine = MapMachine.TestCase
