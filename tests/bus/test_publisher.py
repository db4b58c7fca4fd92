"""Our own events on a real bus."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import takewhile

import pytest
from redis import Redis
from redis.client import PubSub

from exporter.bus import publisher as publishing
from exporter.bus.publisher import BusPublisher
from exporter.redislink import masterwatch
from exporter.telemetry.metrics import Telemetry
from tests.support.clock import ManualClock
from tests.support.redis_server import RedisServer
from tests.support.tcp_proxy import CHUNK, TcpProxy

pytestmark = pytest.mark.servers
CHANNEL = "aurora:events:test"


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry(version="1", revision="r", started_ns=0, store_up=lambda: True, event_bus_up=lambda: True)


@asynccontextmanager
async def publishing_to(url: str, telemetry: Telemetry) -> AsyncIterator[BusPublisher]:
    """A publisher that runs."""
    publisher = BusPublisher(url, CHANNEL, telemetry=telemetry, clock=ManualClock())
    running = asyncio.create_task(publisher.run())
    try:
        yield publisher
    finally:
        running.cancel()
        [ended] = await asyncio.gather(running, return_exceptions=True)
        assert isinstance(ended, asyncio.CancelledError)


def test_our_events_are_published_in_order(server, telemetry):
    """Each listener on the channel receives each of them once."""

    async def scenario() -> None:
        async with publishing_to(server.url, telemetry) as publisher:
            for number in range(250):
                publisher.publish("node_registered", {"node": f"n{number}"})
            await publisher.flush(10)

    with Redis(port=server.port) as client, client.pubsub() as pubsub:
        pubsub.subscribe(CHANNEL)
        pubsub.get_message(timeout=10)
        asyncio.run(scenario())
        heartbeats = [json.loads(pubsub.get_message(timeout=10)["data"]) for _ in range(250)]
        assert pubsub.get_message(timeout=0) is None

    assert telemetry.publishes_failed == 0
    assert heartbeats == [
        {"type": "node_registered", "source_node": "node-registry", "data": {"node": f"n{number}"}}
        for number in range(250)
    ]


def test_what_cannot_be_published_is_counted(server, telemetry, caplog):
    """Nobody is held up; once Redis is back, what comes then is published."""

    async def scenario() -> None:
        async with publishing_to(server.url, telemetry) as publisher:
            publisher.publish("node_registered", {"node": "ann"})
            await publisher.flush(10)
            server.kill()
            for _ in range(3):
                publisher.publish("node_forgotten", {"node": "ann"})
                await publisher.flush(10)
            assert telemetry.publishes_failed == 3
            server.start()
            publisher.publish("node_registered", {"node": "ann"})
            await publisher.flush(10)
            assert telemetry.publishes_failed == 3

    asyncio.run(scenario())

    [line] = [record for record in caplog.records if record.name == "aurora.bus"]
    assert line.getMessage() == "an event of ours was not published on the bus"
    assert line.fault.startswith(f"Redis at redis://127.0.0.1:{server.port}: ")


def test_a_master_that_was_replaced_by_mistake_is_left(server, telemetry, monkeypatch):
    """It lives on and takes events, while the Sentinel names another, where everybody else is."""
    monkeypatch.setattr(masterwatch, "ASK_EVERY", 0.0)
    sentinel = RedisServer(sentinel=True)
    monitored = "sentinel monitor mesh 127.0.0.1 {} 1\n"
    (sentinel.directory / "redis.conf").write_text(monitored.format(server.port))

    async def scenario() -> None:
        async with publishing_to(f"redis+sentinel://127.0.0.1:{sentinel.port}/mesh", telemetry) as publisher:
            publisher.publish("node_registered", {"node": "before"})
            await publisher.flush(10)
            sentinel.cli("SENTINEL", "REMOVE", "mesh")
            sentinel.cli("SENTINEL", "MONITOR", "mesh", "127.0.0.1", other.port, 1)
            publisher.publish("node_registered", {"node": "after"})
            await publisher.flush(10)

    def received(pubsub: PubSub) -> list[str]:
        """Nodes of events: a ping comes after all that was published before it."""
        pubsub.ping()
        events = iter(lambda: pubsub.get_message(timeout=10), None)
        return [json.loads(event["data"])["data"]["node"] for event in takewhile(is_event, events)]

    with RedisServer() as other, sentinel, Redis(port=server.port) as old, Redis(port=other.port) as new:
        with old.pubsub() as there, new.pubsub() as here:
            for pubsub in (there, here):
                pubsub.subscribe(CHANNEL)
                pubsub.get_message(timeout=10)
            asyncio.run(scenario())
            assert (received(there), received(here)) == (["before"], ["after"])
        assert old.role()[0] == b"master"

    assert telemetry.publishes_failed == 0


def is_event(message: dict[str, object]) -> bool:
    return message["type"] == "message"


def test_a_redis_that_hangs_holds_up_nobody(server, telemetry, monkeypatch):
    """Few wait for it, all others are dropped at once; waiting for the rest has an end."""
    monkeypatch.setattr(publishing, "MAX_WAITING", 5)

    async def scenario() -> None:
        async with publishing_to(server.url, telemetry) as publisher:
            publisher.publish("node_registered", {"node": "ann"})
            await publisher.flush(10)
            server.pause()
            for _ in range(8):
                publisher.publish("node_registered", {"node": "ann"})
            assert telemetry.publishes_failed == 3
            await publisher.flush(0.05)
            server.resume()
            await publisher.flush(10)

    asyncio.run(scenario())


class LostAnswers(TcpProxy):
    """Breaks a connection in place of the first answer to a PUBLISH: Redis published what was asked."""

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _era: int) -> None:
        while (chunk := await reader.read(CHUNK)) and not chunk.startswith(b":"):
            writer.write(chunk)


def test_an_event_whose_answer_is_lost_is_not_published_again(server, telemetry):
    """It counts as one that was not published, since nobody knows whether it was."""

    async def scenario() -> None:
        async with (
            LostAnswers(server.port) as proxy,
            publishing_to(f"redis://127.0.0.1:{proxy.port}", telemetry) as publisher,
        ):
            publisher.publish("node_registered", {"node": "ann"})
            publisher.publish("node_registered", {"node": "bob"})
            await publisher.flush(10)

    with Redis(port=server.port) as client, client.pubsub() as pubsub:
        pubsub.subscribe(CHANNEL)
        pubsub.get_message(timeout=10)
        asyncio.run(scenario())
        nodes = [json.loads(pubsub.get_message(timeout=10)["data"])["data"]["node"] for _ in range(2)]
        assert (nodes, pubsub.get_message(timeout=0)) == (["ann", "bob"], None)

    assert telemetry.publishes_failed == 2


def test_what_redis_refuses_to_publish_is_counted(server, telemetry, caplog):
    """Each event; once it is allowed, what comes then is published over the same connection."""

    async def scenario() -> None:
        async with publishing_to(server.url, telemetry) as publisher:
            publisher.publish("node_registered", {"node": "ann"})
            await publisher.flush(10)
            server.cli("ACL", "SETUSER", "default", "resetchannels")
            publisher.publish("node_registered", {"node": "ann"})
            publisher.publish("node_registered", {"node": "bob"})
            await publisher.flush(10)
            server.cli("ACL", "SETUSER", "default", "allchannels")
            publisher.publish("node_registered", {"node": "ann"})
            await publisher.flush(10)

    asyncio.run(scenario())

    assert telemetry.publishes_failed == 2
    [line] = [record for record in caplog.records if record.name == "aurora.bus"]
    assert "its user lacks a permission" in line.fault
