from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from exporter.api import eventlog, events, missed, readers, stream
from exporter.api.app import create_app
from exporter.client.events import parse_stream
from exporter.domain.command import Depart, Register, SetLifecycle
from exporter.domain.config import Limits
from exporter.domain.lifecycle import Lifecycle, Phase
from exporter.domain.registration import Registration
from exporter.exposition import yielder
from tests.support.asgi import Client


@dataclass
class Follower:
    """One reader of the stream. `blocked`: it takes nothing until it is set free."""

    app: Any
    query: str = ""
    last_id: str = ""
    blocked: bool = False
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    text: bytes = b""
    leave: asyncio.Event = field(default_factory=asyncio.Event)
    free: asyncio.Event = field(default_factory=asyncio.Event)
    aborted: bool = False
    task: asyncio.Task[None] | None = None

    async def start(self) -> Follower:
        headers = [(b"host", b"localhost")]
        if self.last_id:
            headers.append((b"last-event-id", self.last_id.encode()))
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "path": "/events",
            "raw_path": b"/events",
            "query_string": self.query.encode(),
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "extensions": {events.ABORT: {events.ABORT: self._abort}},
        }
        self.task = asyncio.create_task(self.app(scope, self._receive, self._send))
        await self.until(lambda: self.status != 0)
        return self

    def _abort(self) -> None:
        self.aborted = True

    async def _receive(self):
        await self.leave.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message):
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            return
        self.text += message["body"]
        if self.blocked:
            await self.free.wait()

    def events(self):
        return list(parse_stream(self.text.splitlines(keepends=True)))

    def happened(self):
        return [(event.type, event.data.get("node")) for event in self.events()]

    async def until(self, condition):
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 - the condition is of the text that came
                await asyncio.sleep(0)

    async def until_events(self, count):
        await self.until(lambda: len(self.events()) >= count)
        return self.events()

    async def ended(self):
        assert self.task is not None
        await asyncio.wait_for(self.task, 10)

    @property
    def ids(self):
        return [line[4:].decode() for line in self.text.splitlines() if line.startswith(b"id: ")]


@pytest.fixture
def client(service):
    with asyncio.Runner() as runner:
        yield Client(create_app(service), runner=runner)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(stream, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(stream, "REST", 0)


def run(client, coroutine):
    return client.runner.run(coroutine)


def follow(client, query="", last_id="", **fields):
    return run(client, Follower(client.app, query, last_id, **fields).start())


def test_everything_that_happens_to_a_node_comes_once_and_in_order(client, service, register):
    reader = follow(client)
    register(capabilities={"gpu": True}, vpn_ip="10.0.0.4")
    register(capabilities={"gpu": True, "gpu_count": 2}, vpn_ip="10.0.0.4")
    client.put("/nodes/vengeance/maintenance", {"reason": "new fans", "until": "1h"})
    client.delete("/nodes/vengeance/maintenance")
    service.pass_time(121)
    service.pass_time(200)
    client.post("/nodes/vengeance/heartbeat")
    client.delete("/nodes/vengeance")

    found = run(client, reader.until_events(8))

    assert [event.type for event in found] == [
        "node_registered",
        "node_updated",
        "node_lifecycle_changed",
        "node_lifecycle_changed",
        "node_status_changed",
        "node_status_changed",
        "node_status_changed",
        "node_deregistered",
    ]
    assert all(event.data["node"] == event.data["name"] == "vengeance" for event in found)
    assert found[0].data["vpn_ip"] == "10.0.0.4"
    assert (found[2].data["lifecycle"], found[2].data["lifecycle_reason"]) == ("maintenance", "new fans")
    assert found[3].data["lifecycle"] == "in_service"
    assert [(each.data["from"], each.data["to"]) for each in found[4:7]] == [
        ("active", "warning"),
        ("warning", "offline"),
        ("offline", "active"),
    ]
    assert len({event.id for event in found}) == 8


def test_a_heartbeat_and_the_same_registration_again_are_no_events(client, register):
    reader = follow(client)
    register()
    register()
    client.post("/nodes/vengeance/heartbeat", {"gpus": [{"index": 0, "utilization": 0.5}]})
    client.delete("/nodes/vengeance")

    run(client, reader.until_events(2))

    assert reader.happened() == [("node_registered", "vengeance"), ("node_deregistered", "vengeance")]


def test_a_forgotten_node_is_an_event(client, service, register):
    register(ttl="10m")
    reader = follow(client)
    service.pass_time(700)

    assert run(client, reader.until_events(3))[-1].type == "node_forgotten"


def test_the_first_reader_holds_nobody_up_and_what_happens_meanwhile_is_known(client, service, register, monkeypatch):
    """How all nodes stand is looked up in steps; what changes between two of them is no event, but counts as before."""
    names = [f"node-{number}" for number in range(5)]
    for name in names:
        register(name)
    remembered = []
    monkeypatch.setattr(yielder, "STRETCH_NS", -1)

    async def first_reader():
        starting = asyncio.create_task(Follower(client.app).start())
        while service.events._noter is None or not service.events._noter._facts:  # noqa: ASYNC110 - of its first steps
            await asyncio.sleep(0)
        remembered.extend(service.events._noter._facts)
        await service.submit(SetLifecycle("node-0", Lifecycle(Phase.DRAINING, until_ns=2**62)))
        await service.submit(SetLifecycle("node-4", Lifecycle(Phase.DRAINING, until_ns=2**62)))
        await service.submit(Depart("node-3"))
        return await starting

    reader = run(client, first_reader())
    for name in ("node-0", "node-4"):
        client.delete(f"/nodes/{name}/drain")
    register("node-3")

    found = run(client, reader.until_events(3))
    assert len(remembered) < len(names)
    assert [(each.type, each.data["node"]) for each in found] == [
        ("node_lifecycle_changed", "node-0"),
        ("node_lifecycle_changed", "node-4"),
        ("node_registered", "node-3"),
    ]


def test_the_stream_is_what_browsers_expect(client):
    reader = follow(client)

    assert (reader.status, reader.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert reader.headers["cache-control"] == "no-cache, no-transform"
    run(client, reader.until(lambda: reader.text))
    assert reader.text.startswith(b"retry: ")


def test_filters_choose_by_how_a_node_stands_or_stood(client, service, register):
    reader = follow(client, "role=lead&status=active")
    register("edge")
    register("lead", role="lead")
    service.pass_time(121)
    service.pass_time(200)
    register("other", role="lead")

    run(client, reader.until_events(3))

    assert reader.happened() == [
        ("node_registered", "lead"),
        ("node_status_changed", "lead"),
        ("node_registered", "other"),
    ]


@pytest.mark.parametrize("missing_seconds", [0, 301])
def test_filters_pass_what_takes_a_node_out_of_them(client, service, register, missing_seconds):
    """A program that lists the leads of a site must learn that one is no lead any more, or has moved."""
    register("lead", role="lead", metadata={"site": "attic"})
    service.pass_time(missing_seconds)
    status = "offline" if missing_seconds else "active"
    followers = [follow(client, f"{query}&status={status}") for query in ("role=lead", "site=attic")]
    register("lead", role="compute", metadata={"site": "cellar"})

    for reader in followers:
        run(client, reader.until_events(1))

    assert [reader.happened()[0] for reader in followers] == [("node_updated", "lead")] * 2


def test_an_unknown_filter_is_refused_by_name(client):
    answer = client.get("/events?colour=red")

    assert answer.status == 400
    assert answer.json()["errors"][0]["field"] == "colour"


def test_until_the_map_is_loaded_there_is_no_stream(client, service):
    service.loaded = False

    assert client.get("/events").status == 503
    assert len(service.events) == 0


def test_a_reader_that_returns_gets_what_it_missed(client, register):
    reader = follow(client)
    register("one")
    last_id = run(client, reader.until_events(1))[0].id
    reader.leave.set()
    run(client, reader.ended())
    register("two")
    client.delete("/nodes/one")

    again = follow(client, last_id=last_id)
    run(client, again.until_events(2))

    assert again.happened() == [("node_registered", "two"), ("node_deregistered", "one")]


def test_ids_go_on_for_readers_whose_filters_let_nothing_pass(client, register):
    reader = follow(client, "role=lead")
    register("one")
    run(client, reader.until(lambda: len(reader.ids) == 2))
    reader.leave.set()
    run(client, reader.ended())

    again = follow(client, last_id=reader.ids[-1])
    register("two")
    run(client, again.until_events(1))

    assert again.happened() == [("node_registered", "two")]


def test_an_id_of_another_registry_resumes_from_the_record(client, service, register):
    """The time in the id is what counts: all that happened since is in the record."""
    register("one", capabilities={"gpu": True})
    register("gone")
    service.pass_time(60)
    at_ns = service.clock.wall_ns()
    register("two")
    client.delete("/nodes/gone")
    service.pass_time(90)

    reader = follow(client, last_id=f"{at_ns}-{'0' * 12}-5")
    run(client, reader.until_events(3))

    found = reader.events()
    assert sorted(reader.happened()) == [
        ("node_deregistered", "gone"),
        ("node_registered", "two"),
        ("node_status_changed", "one"),
    ]
    assert next(each for each in found if each.type == "node_status_changed").data["capabilities"] == {"gpu": True}
    register("three")
    run(client, reader.until_events(4))
    assert reader.happened()[-1] == ("node_registered", "three")


def test_what_many_missed_is_looked_up_once_and_nobody_misses_what_happens_meanwhile(
    client, service, register, monkeypatch
):
    """As after a restart of the registry, when all its readers return at once."""
    register("one")
    last_id = f"{service.clock.wall_ns()}-{'0' * 12}-5"
    calls, found, go_on, look_up = [], asyncio.Event(), asyncio.Event(), missed._missed

    async def slow(*arguments):
        calls.append(arguments)
        frames = await look_up(*arguments)
        found.set()
        await go_on.wait()
        return frames

    monkeypatch.setattr(missed, "_missed", slow)
    first = Follower(client.app, last_id=last_id)
    second = Follower(client.app, last_id=last_id)

    async def start(follower):
        return asyncio.create_task(follower.start())

    starting = [run(client, start(first))]
    run(client, found.wait())
    register("two")
    run(client, first.until(lambda: service.events.log.end == 1))
    starting.append(run(client, start(second)))
    run(client, asyncio.sleep(0))
    go_on.set()
    for follower, task in zip((first, second), starting, strict=True):
        run(client, asyncio.wait_for(task, 10))
        run(client, follower.until_events(2))

    assert len(calls) == 1
    expected = [("node_registered", "one"), ("node_registered", "two")]
    assert (first.happened(), second.happened()) == (expected, expected)


@pytest.mark.parametrize("last_id", ["x", "1", "1-a-2", f"{10**18}-{'0' * 12}-1", "-1-0-0", "9" * 40])
def test_what_cannot_be_resumed_is_said(client, register, last_id):
    reader = follow(client, last_id=last_id)

    [event] = run(client, reader.until_events(1))

    assert event.type == "stream_reset"
    assert "load /nodes again" in event.data["reason"]
    register("one")
    run(client, reader.until_events(2))
    assert reader.happened()[-1] == ("node_registered", "one")


def test_too_many_streams_are_refused_and_a_place_is_free_again(client, service):
    service.set_config(limits=replace(Limits(), max_event_streams=2))
    first, _ = follow(client), follow(client)

    refused = client.get("/events")

    assert (refused.status, refused.headers["retry-after"]) == (503, "10")
    assert "limits.max_event_streams" in refused.json()["detail"]
    first.leave.set()
    run(client, first.ended())
    assert follow(client).status == 200


def test_a_slow_reader_is_dropped_with_a_reason_and_others_are_not(client, service, register, monkeypatch):
    monkeypatch.setattr(eventlog, "MAX_EVENTS", 20)
    slow, quick = follow(client, blocked=True), follow(client)
    for number in range(60):
        register(f"node-{number}")
        run(client, quick.until_events(number + 1))
    slow.free.set()

    run(client, slow.ended())

    assert slow.events()[-1].type == "stream_end"
    assert "faster" in slow.events()[-1].data["reason"]
    assert service.events.dropped == 1
    assert len(quick.happened()) == 60


def test_a_reader_that_takes_nothing_is_cut(client, service, monkeypatch):
    monkeypatch.setattr(events, "SEND_SECONDS", 0.01)
    stuck = follow(client, blocked=True)

    run(client, stuck.ended())

    assert stuck.aborted
    assert (len(service.events), service.events.dropped) == (0, 1)


def test_a_flood_that_nobody_could_read_is_named_as_such(client, service, monkeypatch):
    monkeypatch.setattr(stream, "MAX_WAITING", 5)
    reader = follow(client)

    async def flood():
        """So much within one step of the event loop that the stream could not write it."""
        node_map = service.node_map
        for number in range(8):
            node_map.commit(node_map.plan(Register(Registration(f"node-{number}"))))

    run(client, flood())
    run(client, reader.until_events(4))

    assert reader.happened()[0] == ("stream_reset", None)
    assert reader.happened()[-1] == ("node_registered", "node-7")


def test_keep_alives_carry_the_id(client, monkeypatch):
    monkeypatch.setattr(readers, "KEEP_ALIVE_SECONDS", 0.01)
    reader = follow(client)

    run(client, reader.until(lambda: reader.text.count(b": keep-alive\nid: ") >= 2))

    assert reader.events() == []


def test_at_the_end_each_reader_gets_an_event_and_no_new_one_is_taken(client, service):
    followers = [follow(client), follow(client)]

    service.events.stop()

    for reader in followers:
        run(client, reader.ended())
        assert [event.type for event in reader.events()] == ["stream_end"]
    assert client.get("/events").status == 503


def test_an_audit_entry_passes_the_filters_of_its_node(client, service, register):
    register("lead", role="lead")
    everything, leads, others = follow(client), follow(client, "role=lead"), follow(client, "role=compute")
    service.events.audit({"action": "drain", "node": "lead", "by": "ops"})
    service.events.audit({"action": "reload", "by": "ops"})
    register("other")

    run(client, everything.until_events(3))
    run(client, leads.until_events(1))
    run(client, others.until_events(1))

    assert [event.type for event in everything.events()] == ["audit", "audit", "node_registered"]
    assert leads.events()[0].data == {"action": "drain", "node": "lead", "by": "ops"}
    assert others.happened() == [("node_registered", "other")]
