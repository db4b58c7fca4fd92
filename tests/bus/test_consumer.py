"""How events on the bus are processed, with a clock that stands still and without a bus."""

from __future__ import annotations

import asyncio
import json
import logging

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.auth.audit import AuditLog
from exporter.auth.keyring import Keyring
from exporter.bus import consumer
from exporter.bus.consumer import BusConsumer
from exporter.bus.signatures import SignatureCheck
from exporter.domain.clock import SECOND
from exporter.domain.command import Command, Depart, Register
from exporter.domain.config import Auth, Limits
from exporter.domain.errors import StillLoading, StoreUnavailable
from exporter.domain.node import Node
from exporter.domain.reception import Source
from exporter.domain.registration import Registration
from exporter.domain.status import Thresholds, Transport
from exporter.nodemap.nodemap import NodeMap
from exporter.telemetry.metrics import Telemetry
from tests.support.clock import ManualClock


class Desk:
    """A consumer with its map; a store that always answers, unless a test breaks it."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.map = NodeMap(self.clock, Thresholds(), limits=Limits(max_nodes=3))
        self.loaded = True
        self.store_up = True
        self.submitted: list[Command] = []
        self.requested: list[str] = []
        self.telemetry = Telemetry(
            version="1", revision="r", started_ns=0, store_up=lambda: self.store_up, event_bus_up=lambda: True
        )
        self.keyring = Keyring(Auth())
        self.required = False
        self.audit = AuditLog(self.clock)
        self.consumer = BusConsumer(
            node_map=self._node_map,
            submit=self._submit,
            telemetry=self.telemetry,
            clock=self.clock,
            request_registration=self.requested.append,
            signatures=SignatureCheck(lambda: self.keyring, lambda: self.required, self.clock),
            audit=self.audit,
        )

    def take(self, event_type: str, data: object, source_node: str = "ann") -> None:
        """An event came."""
        self.consumer.take(json.dumps({"type": event_type, "source_node": source_node, "data": data}).encode())

    async def work(self) -> None:
        """Let everything that waits for the store be submitted."""
        worker = asyncio.create_task(self.consumer.work())
        for _ in range(20):
            await asyncio.sleep(0)
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)

    @property
    def rejected(self) -> dict[str, int]:
        """The counters that are not 0."""
        return {reason.value: count for reason, count in self.telemetry.events_rejected.items() if count}

    @property
    def heartbeats(self) -> int:
        """Heartbeats that were counted for the bus; none ever is for HTTP."""
        assert self.telemetry.heartbeats[Transport.HTTP] == 0
        return self.telemetry.heartbeats[Transport.BUS]

    def _node_map(self) -> NodeMap:
        if not self.loaded:
            raise StillLoading
        return self.map

    async def _submit(self, command: Command) -> Node | None:
        await asyncio.sleep(0)
        if not self.store_up:
            raise StoreUnavailable("the store did not answer within 2 s")
        self.submitted.append(command)
        return self.map.commit(self.map.plan(command))


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_heartbeat_makes_a_node_appear(desk):
    """With the role that it states, and known from the bus."""
    desk.take("node_heartbeat", {"node": "aurora", "role": "lead", "status": "active"})
    desk.take("node_heartbeat", {"node": "vengeance"})

    nodes = [(node.name, node.facts.role, node.transport) for node in desk.map.nodes()]
    assert nodes == [("aurora", "lead", Transport.BUS), ("vengeance", "compute", Transport.BUS)]
    assert (desk.heartbeats, desk.rejected) == (2, {})


def test_a_heartbeat_of_a_known_node_is_proof_of_life_alone(desk):
    """A registration says more than a heartbeat's role, so the role stands."""
    [registration] = registrations("ann", role="storage")
    desk.map.commit(desk.map.plan(registration))
    desk.clock.advance(50)

    desk.take("node_heartbeat", {"node": "ann", "role": "compute"})

    node = desk.map.get("ann")
    assert (node.facts.role, node.last_heartbeat_ns) == ("storage", desk.clock.monotonic_ns())


def registrations(*names: str, role: str = "compute") -> list[Register]:
    """Registrations over the bus."""
    return [Register(Registration(name, role=role), Transport.BUS) for name in names]


def test_what_must_be_durable_waits_for_the_store(desk):
    """An event is read in no time; the map follows once the store has it."""
    desk.take("node_register", {"name": "ann"})
    assert len(desk.map) == 0

    asyncio.run(desk.work())

    assert desk.submitted == registrations("ann")
    assert desk.map.get("ann").transport is Transport.BUS


def test_commands_of_one_node_keep_their_order(desk):
    """Those of others go together."""
    desk.take("node_register", {"name": "ann"})
    desk.take("node_register", {"name": "bob"})
    desk.take("node_deregister", {"node": "ann"})
    desk.take("node_register", {"name": "ann", "role": "lead"})

    asyncio.run(desk.work())

    assert desk.submitted == [*registrations("ann", "bob"), Depart("ann"), *registrations("ann", role="lead")]
    assert (desk.map.get("ann").facts.role, desk.rejected) == ("lead", {})


def test_a_departed_nodes_late_heartbeats_are_ignored_for_a_while(desk):
    """Its late heartbeats are nobody's mistake; a registration brings it back."""
    desk.take("node_heartbeat", {"node": "ann"})
    desk.take("node_deregister", {"node": "ann"})
    asyncio.run(desk.work())

    desk.take("node_heartbeat", {"node": "ann"})
    assert (len(desk.map), desk.heartbeats, desk.rejected) == (0, 1, {})

    desk.take("node_register", {"name": "ann"})
    asyncio.run(desk.work())
    assert len(desk.map) == 1


def test_a_departure_may_arrive_twice(desk):
    """Every replica receives it, and only one of them is first."""
    desk.take("node_heartbeat", {"node": "ann"})
    desk.take("node_deregister", {"node": "ann"})
    desk.take("node_deregister", {"node": "ann"})

    asyncio.run(desk.work())

    assert desk.rejected == {}


def test_a_departure_of_a_stranger_is_counted(desk):
    """Most likely a name with a typing error."""
    desk.take("node_deregister", {"node": "anm"})

    asyncio.run(desk.work())

    assert desk.rejected == {"unknown_node": 1}


def test_a_name_of_another_machine_is_a_conflict(desk):
    """The owner stays as it is, and its node says that the name was claimed."""
    desk.take("node_register", {"name": "ann", "node_id": "m-1"})
    desk.take("node_register", {"name": "ann"})
    desk.take("node_register", {"name": "ann", "node_id": "m-2"})

    asyncio.run(desk.work())

    node = desk.map.get("ann")
    assert (node.facts.node_id, node.conflicts, desk.rejected) == ("m-1", 1, {"name_conflict": 1})


def test_a_full_map_takes_nobody_new(desk):
    """Heartbeats of known nodes count all the same."""
    for name in ("ann", "bob", "cyd", "dan"):
        desk.take("node_heartbeat", {"node": name})
    desk.take("node_register", {"name": "eve"})
    desk.take("node_heartbeat", {"node": "ann"})

    asyncio.run(desk.work())

    assert (len(desk.map), desk.heartbeats, desk.rejected) == (3, 4, {"node_limit": 2})


def test_nodes_that_state_as_much_as_there_may_be_take_nobody_new(desk):
    """Neither by registering nor by a heartbeat of an unknown node."""
    desk.take("node_heartbeat", {"node": "ann"})
    desk.map.room.max_state = desk.map.room.state_bytes
    desk.take("node_heartbeat", {"node": "bob"})
    desk.take("node_register", {"name": "ann", "metadata": {"note": "x" * 99}})
    asyncio.run(desk.work())

    assert (len(desk.map), desk.rejected) == (1, {"state_limit": 2})


def test_a_store_that_is_away_costs_registrations_alone(desk):
    """Heartbeats need no store."""
    desk.store_up = False
    desk.take("node_register", {"name": "ann"})
    desk.take("node_heartbeat", {"node": "bob"})

    asyncio.run(desk.work())

    assert ([node.name for node in desk.map.nodes()], desk.rejected) == (["bob"], {"store_unavailable": 1})


def test_more_than_the_store_can_take_is_dropped(desk, monkeypatch):
    """Memory is bounded; what is dropped is counted."""
    monkeypatch.setattr(consumer, "MAX_WAITING_BYTES", 2 * 1024)
    for number in range(9):
        desk.take("node_register", {"name": f"n{number}"})
    assert desk.rejected == {"overload": 2}

    async def room():
        """Reading waits before anything has to be dropped."""
        waiting = asyncio.create_task(desk.consumer.room())
        await asyncio.sleep(0)
        assert not waiting.done()
        await desk.work()
        await waiting

    asyncio.run(room())
    desk.take("node_deregister", {"node": "n0"})
    desk.take("node_heartbeat", {"node": "n7"})

    assert desk.rejected.get("overload") == 2


def test_of_one_node_the_newest_waits(desk):
    """However often it registers while the store is busy."""
    for role in ("compute", "lead", "edge"):
        desk.take("node_register", {"name": "ann", "role": role})

    asyncio.run(desk.work())

    assert desk.submitted == [Register(Registration("ann", role="edge"), Transport.BUS)]


def test_a_node_that_is_known_by_its_heartbeat_alone_is_asked_to_register(desk):
    """Once a minute until it does; and one whose registration the store did not take."""
    desk.take("node_heartbeat", {"node": "ann"})
    desk.take("node_heartbeat", {"node": "ann"})
    assert desk.requested == ["ann"]
    desk.clock.advance(60)
    desk.take("node_heartbeat", {"node": "ann"})
    assert desk.requested == ["ann", "ann"]

    desk.take("node_register", {"name": "ann"})
    asyncio.run(desk.work())
    desk.clock.advance(60)
    desk.take("node_heartbeat", {"node": "ann"})
    assert desk.requested == ["ann", "ann"]

    desk.store_up = False
    desk.take("node_register", {"name": "ann", "role": "lead"})
    asyncio.run(desk.work())
    desk.take("node_heartbeat", {"node": "ann"})
    assert desk.requested == ["ann", "ann", "ann"]


def test_a_node_that_registered_elsewhere_is_not_asked_again(desk):
    desk.take("node_heartbeat", {"node": "ann"})
    desk.map.commit(desk.map.plan(Register(Registration("ann"), Transport.HTTP)))
    desk.clock.advance(60)
    desk.take("node_heartbeat", {"node": "ann"})
    desk.clock.advance(60)
    desk.take("node_heartbeat", {"node": "ann"})

    assert desk.requested == ["ann"]


def test_before_the_map_is_loaded_heartbeats_are_no_error(desk):
    """What cannot be read is one all the same."""
    desk.loaded = False
    desk.take("node_heartbeat", {"node": "ann"})
    desk.take("node_heartbeat", {"node": 5})

    assert (desk.heartbeats, desk.rejected) == (0, {"bad_heartbeat": 1})


@pytest.mark.parametrize("name", ["", "../etc/passwd", "a" * 64, "a\nb", "\u202eann"])
def test_a_stranger_needs_a_name(desk, name):
    """A heartbeat that would make a node appear is held to the rules for names."""
    desk.take("node_heartbeat", {"node": name})

    assert (len(desk.map), desk.rejected) == (0, {"bad_heartbeat": 1})


def test_rejections_are_sampled_into_the_log(desk, caplog):
    """A line every ten seconds for each reason, which says what was wrong and how many were suppressed."""
    for _ in range(3):
        desk.take("node_heartbeat", {"node": 5})
    desk.consumer.take(b"[]")
    desk.clock.advance(10)
    desk.take("node_heartbeat", {"node": 6})

    lines = [(record.reason, record.fault, record.suppressed) for record in caplog.records]
    assert {(record.levelno, record.getMessage()) for record in caplog.records} == {
        (logging.WARNING, "an event on the bus was rejected")
    }
    assert lines == [
        ("bad_heartbeat", "node: expected text, got 5", 0),
        ("not_object", "expected an event as a JSON object, got []", 0),
        ("bad_heartbeat", "node: expected text, got 6", 2),
    ]


def test_a_fault_fills_no_log(desk, caplog):
    """A key may be as long as an event, its line in the log not."""
    desk.take("node_register", {"name": "ann", "k" * 100_000: 1})

    [record] = caplog.records
    assert (record.reason, len(record.fault) < 500) == ("bad_registration", True)


NAMES = st.sampled_from(["ann", "bob", "", "x y", 5, None])
EVENTS = st.builds(
    lambda event_type, data: json.dumps({"type": event_type, "source_node": "ann", "data": data}).encode(),
    st.sampled_from(["node_heartbeat", "node_register", "node_deregister", "chat", 7]),
    st.fixed_dictionaries({}, optional={"node": NAMES, "name": NAMES, "role": NAMES, "status": NAMES}),
)


@given(st.lists(EVENTS | st.binary(max_size=60), max_size=8))
def test_no_event_breaks_the_intake_or_counts_twice(payloads):
    """Whatever comes: each is taken in, passes by, or is counted under one reason."""
    desk = Desk()
    for payload in payloads:
        before = desk.heartbeats + sum(desk.telemetry.events_rejected.values())
        desk.consumer.take(payload)
        asyncio.run(desk.work())
        after = desk.heartbeats + sum(desk.telemetry.events_rejected.values())
        assert after - before in {0, 1}


def test_a_registration_that_waited_through_a_stop_is_no_heartbeat() -> None:
    """Its node may be dead by now; one that comes after the answer to a ping counts."""
    desk = Desk()
    bus = Source("bus", desk.clock.monotonic_ns())
    desk.map = NodeMap(desk.clock, Thresholds(), sources={Transport.BUS: (bus,)})
    desk.clock.advance(400)
    desk.take("node_register", {"name": "ann"})
    asyncio.run(desk.work())
    bus.mark_alive(desk.clock.monotonic_ns())
    desk.take("node_register", {"name": "ann"})
    asyncio.run(desk.work())
    assert [command.heartbeat for command in desk.submitted if isinstance(command, Register)] == [False, True]


class Stopped(Desk):
    """A desk behind a bus; what is taken is carried out at once. Limits are one minute, and five seconds a gap."""

    def __init__(self) -> None:
        super().__init__()
        self.bus = Source("bus", self.clock.monotonic_ns())
        self.map = NodeMap(self.clock, Thresholds(), sources={Transport.BUS: (self.bus,)})

    def receive(self, event_type: str, name: str, **data: object) -> None:
        """An event came, and was worked on."""
        self.take(event_type, {"name" if event_type == "node_register" else "node": name, **data})
        asyncio.run(self.work())

    def change(self, command: Command) -> None:
        """Somebody else's command, which is acknowledged."""
        self.map.commit(self.map.plan(command))

    def prove(self) -> None:
        """The answer to a ping."""
        self.bus.mark_alive(self.clock.monotonic_ns())

    def stop(self, seconds: int) -> None:
        """Stopped for so long; the answer to the last ping was just before."""
        self.prove()
        self.clock.advance(seconds)


@pytest.mark.parametrize("seconds", [20, 400], ids=["a short stop", "a long stop"])
def test_a_departure_that_waited_yields_to_a_registration_since(seconds):
    """Its sender may have registered again, with another registry or over HTTP."""
    desk = Stopped()
    desk.receive("node_register", "ann")
    desk.stop(seconds)
    desk.change(Register(Registration("ann", role="gateway")))
    desk.receive("node_deregister", "ann")
    assert ([node.name for node in desk.map.nodes()], desk.rejected) == (["ann"], {"superseded": 1})
    desk.prove()
    desk.receive("node_deregister", "ann")
    assert not len(desk.map)


def test_a_registration_that_waited_yields_and_is_asked_for_again():
    desk = Stopped()
    desk.receive("node_register", "ann")
    desk.stop(20)
    desk.change(Register(Registration("ann", role="gateway")))
    desk.receive("node_register", "ann", role="storage")
    assert (desk.map.get("ann").facts.role, desk.rejected) == ("gateway", {"superseded": 1})
    desk.receive("node_heartbeat", "ann")
    assert desk.requested == ["ann"]
    desk.prove()
    desk.receive("node_register", "ann", role="storage")
    assert desk.map.get("ann").facts.role == "storage"


def test_a_registration_that_waited_does_not_bring_back_who_left_since():
    """Nor does a heartbeat that waited with it; a heartbeat of now does, and the node is asked."""
    desk = Stopped()
    desk.receive("node_register", "ann")
    desk.stop(20)
    desk.change(Depart("ann"))
    desk.receive("node_register", "ann")
    desk.receive("node_heartbeat", "ann")
    assert (len(desk.map), desk.rejected) == (0, {"superseded": 1})
    desk.clock.advance(200)
    desk.prove()
    desk.receive("node_heartbeat", "ann")
    assert (len(desk.map), desk.requested) == (1, ["ann"])


def test_what_waited_together_is_carried_out_in_order():
    """A node's own words in a row are no reason to drop the last of them."""
    desk = Stopped()
    desk.receive("node_register", "ann")
    desk.receive("node_register", "bob")
    desk.stop(20)
    desk.receive("node_heartbeat", "ann", status="draining")
    desk.receive("node_heartbeat", "ann", status="active")
    desk.receive("node_deregister", "ann")
    for role in ("gateway", "storage", "compute"):
        desk.receive("node_register", "bob", role=role)
        desk.receive("node_deregister", "bob")
    desk.receive("node_register", "bob", role="gateway")
    assert ([(node.name, node.facts.role) for node in desk.map.nodes()], desk.rejected) == ([("bob", "gateway")], {})


def test_a_registration_that_waited_and_stands_already_is_no_loss():
    """Another registry received it in time."""
    desk = Stopped()
    desk.receive("node_register", "ann")
    record = desk.map.get("ann").record
    desk.map.put(msgspec.structs.replace(record, revision_ns=record.revision_ns + 30 * SECOND))
    desk.stop(20)
    desk.receive("node_register", "ann")
    desk.receive("node_heartbeat", "ann")
    assert (desk.rejected, desk.requested) == ({}, [])


def test_in_a_flood_registrations_are_taken():
    """What is late in a flood was read as it came: nothing of it is dropped."""
    desk = Stopped()
    for second in range(60):
        desk.clock.advance(1)
        desk.bus.mark_heard(desk.clock.monotonic_ns(), Thresholds().gap)
        desk.receive("node_register", "ann", role="compute" if second % 2 else "storage")
        desk.change(Register(Registration("ann", role="gateway")))
    desk.receive("node_register", "ann", role="storage")
    assert (desk.map.get("ann").facts.role, desk.rejected) == ("storage", {})


def test_what_was_read_before_a_stop_and_waits_for_the_store_is_late_too():
    desk = Stopped()
    desk.receive("node_register", "ann")
    desk.prove()
    desk.take("node_deregister", {"node": "ann"})
    desk.clock.advance(20)
    desk.change(Register(Registration("ann", role="gateway")))
    asyncio.run(desk.work())
    assert ([node.name for node in desk.map.nodes()], desk.rejected) == (["ann"], {"superseded": 1})
