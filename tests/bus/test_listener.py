"""The bus listener and publisher against a real Redis, with real faults."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager

import pytest
from redis import Redis

from exporter.auth.audit import AuditLog
from exporter.auth.keyring import Keyring
from exporter.bus.listener import BusListener
from exporter.bus.signatures import SignatureCheck
from exporter.domain.clock import MILLISECOND, SECOND
from exporter.domain.command import Command
from exporter.domain.config import Auth
from exporter.domain.errors import StillLoading
from exporter.domain.heartbeat import Heartbeat
from exporter.domain.node import Node
from exporter.domain.reception import Source
from exporter.domain.status import Status, Thresholds, Transport
from exporter.nodemap.nodemap import NodeMap
from exporter.telemetry.metrics import Telemetry
from exporter.telemetry.reasons import Rejection
from tests.conftest import Measured
from tests.support.redis_server import RedisServer
from tests.support.tcp_proxy import TcpProxy

pytestmark = pytest.mark.servers
CHANNEL = "aurora:events:test"
NOT_RECEIVED = "the event bus is not received: its nodes keep their status until it is"
THRESHOLDS = Thresholds(
    heartbeat_interval=500 * MILLISECOND,
    warning_after=2 * SECOND,
    offline_after=2500 * MILLISECOND,
    forget_after=60 * SECOND,
)
SEED = {
    "type": "node_heartbeat",
    "source_node": "vengeance",
    "data": {"node": "vengeance", "role": "compute", "status": "active"},
}


class SystemClock:
    """Real time: the listener's connections live in it."""

    @staticmethod
    def monotonic_ns() -> int:
        return time.monotonic_ns()

    @staticmethod
    def wall_ns() -> int:
        return time.time_ns()


class Listening:
    """A listener with its map, which a task ticks as the wiring does."""

    def __init__(self, url: str, thresholds: Thresholds = THRESHOLDS) -> None:
        self.loaded = True
        self.thresholds = thresholds
        clock = SystemClock()
        self.source = Source("bus", clock.monotonic_ns(), lost=True)
        self.map = NodeMap(clock, thresholds, sources={Transport.BUS: (self.source,)})
        self.telemetry = Telemetry(
            version="1", revision="r", started_ns=0, store_up=lambda: True, event_bus_up=lambda: self.listener.up
        )
        self.telemetry.watch(self.map)
        self.listener = BusListener(
            url,
            CHANNEL,
            node_map=self._node_map,
            source=self.source,
            submit=self._submit,
            telemetry=self.telemetry,
            clock=clock,
            thresholds=lambda: thresholds,
            signatures=SignatureCheck(lambda: Keyring(Auth()), lambda: False, clock),
            audit=AuditLog(clock),
        )

    @property
    def heartbeats(self) -> int:
        """Counted for the bus."""
        return self.telemetry.heartbeats[Transport.BUS]

    @property
    def blind_ns(self) -> int:
        """How long the bus was not received, in outages that ended."""
        return self.map.reception[Transport.BUS].blind_total_ns

    @property
    def stalled_ns(self) -> int:
        """How long this process itself was stopped by others, so that it is blind to everything."""
        return self.map.reception[Transport.HTTP].blind_total_ns

    def held(self, node: Node) -> bool:
        """Whether the node's status is frozen."""
        return self.map.held_since_ns(node, time.monotonic_ns()) is not None

    async def until(self, condition: Callable[[], object], *, within: float = 15) -> None:
        """Wait for something to come true."""
        async with asyncio.timeout(within):
            while not condition():  # noqa: ASYNC110 - what is waited for happens in a server, which sets no event
                await asyncio.sleep(0.01)

    async def tick(self) -> None:
        """Until cancelled."""
        while True:
            self.map.tick()
            await asyncio.sleep(self.thresholds.tick / SECOND)

    def _node_map(self) -> NodeMap:
        if not self.loaded:
            raise StillLoading
        return self.map

    async def _submit(self, command: Command) -> None:
        self.map.commit(self.map.plan(command))


@asynccontextmanager
async def listening(url: str, thresholds: Thresholds = THRESHOLDS) -> AsyncIterator[Listening]:
    """A listener that runs and is subscribed."""
    desk = Listening(url, thresholds)
    tasks = [asyncio.create_task(desk.listener.run()), asyncio.create_task(desk.tick())]
    try:
        await desk.until(lambda: desk.listener.up or tasks[0].done())
        yield desk
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(end) for end in ended] == [asyncio.CancelledError] * 2


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def publish(server: RedisServer, *events: Mapping[str, object] | bytes) -> None:
    """Publish as another program of the mesh does."""
    with Redis(port=server.port, password=server.password) as client, client.pipeline(transaction=False) as pipeline:
        for event in events:
            pipeline.publish(CHANNEL, event if isinstance(event, bytes) else json.dumps(event))
        pipeline.execute()


def heartbeat(name: str, **more: object) -> dict[str, object]:
    """A heartbeat event."""
    return {"type": "node_heartbeat", "source_node": name, "data": {"node": name, **more}}


def test_heartbeats_of_the_mesh_are_received(server):
    """The seed's heartbeat, a registration and a departure, in order."""

    async def scenario() -> None:
        async with listening(server.url) as desk:
            publish(
                server,
                SEED,
                {"type": "node_register", "source_node": "aurora", "data": {"name": "aurora", "role": "lead"}},
                {"type": "gpu_job", "data": {}},
                b"\x00\x01",
                {"type": "node_heartbeat", "source_node": "node-registry", "data": {"node": "ghost"}},
                {"type": "node_deregister", "source_node": "bob", "data": {"node": "vengeance"}},
                heartbeat("ann", role="storage"),
            )
            await desk.until(lambda: set(desk.map._nodes) == {"aurora", "ann"})

            assert {node.name: node.facts.role for node in desk.map.nodes()} == {"aurora": "lead", "ann": "storage"}
            assert desk.heartbeats == 2
            assert (
                sum(desk.telemetry.events_rejected.values()) == desk.telemetry.events_rejected[Rejection.NOT_JSON] == 1
            )

    asyncio.run(scenario())


def test_an_outage_counts_from_the_last_proof(server):
    """On an idle bus pings prove that we receive, so that statuses change and nobody is held."""

    async def scenario() -> None:
        async with listening(server.url) as desk:
            publish(server, SEED)
            await desk.until(lambda: len(desk.map))
            await desk.until(lambda: desk.map.get("vengeance").status is Status.WARNING)

            await desk.until(lambda: not desk.held(desk.map.get("vengeance")))

    asyncio.run(scenario())


def test_the_bus_may_be_up_before_the_map(server):
    """A store that answers late keeps nobody from subscribing; what came before is no error."""

    async def scenario() -> None:
        desk = Listening(server.url)
        desk.loaded = False
        running = asyncio.create_task(desk.listener.run())
        await desk.until(lambda: desk.listener.up)
        publish(server, SEED, b"[]")
        await desk.until(lambda: sum(desk.telemetry.events_rejected.values()) == 1)
        desk.loaded = True
        publish(server, SEED)
        await desk.until(lambda: desk.heartbeats == 1)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(scenario())


async def hold_through(
    desk: Listening,
    server: RedisServer,
    fault: Callable[[], None],
    repair: Callable[[], None],
    measured: Measured,
) -> None:
    """A node whose heartbeats arrive before and after a fault is held meanwhile, and nothing happened to it.

    The sleep is real: the fault must outlast the age at which the node would be offline.
    """
    publish(server, SEED)
    await desk.until(lambda: len(desk.map))
    node = desk.map.get("vengeance")
    fault()
    with measured("noticed"):
        await desk.until(lambda: not desk.listener.up)
    assert desk.held(node)
    await asyncio.sleep(1.2 * THRESHOLDS.offline_after / SECOND)
    blind_ns = desk.blind_ns
    repair()
    with measured("back"):
        await desk.until(lambda: desk.listener.up)
    publish(server, SEED)
    await desk.until(lambda: desk.heartbeats == 2)

    assert desk.blind_ns - blind_ns > THRESHOLDS.offline_after
    await desk.until(lambda: not desk.held(node))
    assert (node.status, list(desk.map.recent)) == (Status.ACTIVE, [])


def test_a_black_holed_subscription_is_noticed(server, caplog, measured):
    """Neither side learns that the connection is dead; ours finds out, and the gap counts as blind."""

    async def scenario() -> int:
        async with TcpProxy(server.port) as proxy, listening(f"redis://127.0.0.1:{proxy.port}/0") as desk:
            await hold_through(desk, server, proxy.black_hole, proxy.heal, measured)
            return proxy.port

    with caplog.at_level("INFO", "aurora.bus"):
        port = asyncio.run(scenario())

    assert {(record.getMessage(), getattr(record, "reason", "")) for record in caplog.records} == {
        ("listening on the event bus", ""),
        (NOT_RECEIVED, "neither an event nor an answer to a ping came for 0.2 s"),
        (NOT_RECEIVED, f"Redis at redis://127.0.0.1:{port}: it did not answer in time"),
        ("the event bus is received again", ""),
    }


def test_a_stopped_redis_is_noticed(server, measured):
    """It accepts connections and answers nothing."""

    async def scenario() -> None:
        async with listening(server.url) as desk:
            await hold_through(desk, server, server.pause, server.resume, measured)

    asyncio.run(scenario())


def test_a_killed_redis_is_waited_for(server, measured):
    """Restarted, it is subscribed to again."""

    async def scenario() -> None:
        async with listening(server.url) as desk:
            await hold_through(desk, server, server.kill, server.start, measured)

    asyncio.run(scenario())


def test_a_redis_that_loads_its_data_is_not_received(server, caplog):
    """It takes subscriptions meanwhile, and brings nothing: one outage, which is logged once."""

    async def scenario() -> None:
        async with listening(server.url) as desk:
            server.restart_slowly(3)
            await desk.until(lambda: any("still loading" in str(record.__dict__) for record in caplog.records))
            await desk.until(lambda: desk.listener.up)
            assert desk.telemetry.subscriptions_lost == 1
            publish(server, heartbeat("vengeance"))
            await desk.until(lambda: desk.heartbeats == 1)

    caplog.set_level("INFO")
    asyncio.run(scenario())
    assert [record.getMessage() for record in caplog.records].count("the event bus is received again") == 1


def test_a_killed_subscription_is_a_gap(server, measured):
    """However soon we are back: something may have been missed in between, so there was an outage."""

    async def scenario() -> None:
        async with listening(server.url) as desk:
            publish(server, SEED)
            await desk.until(lambda: len(desk.map))
            blind_ns = desk.blind_ns
            server.cli("CLIENT", "KILL", "TYPE", "pubsub")
            with measured("noticed"):
                await desk.until(lambda: desk.blind_ns > blind_ns)
            assert desk.telemetry.subscriptions_lost == 1
            publish(server, SEED)
            await desk.until(lambda: desk.heartbeats == 2)

    asyncio.run(scenario())


def reasons(caplog: pytest.LogCaptureFixture) -> str:
    """All the reasons that the log gives."""
    return "\n".join(getattr(record, "reason", "") for record in caplog.records)


def test_a_changed_password_is_reported_without_the_secret(caplog, measured):
    """The line says what to do; once the password is right again, the bus is received."""

    async def scenario(server: RedisServer) -> None:
        async with listening(server.url) as desk:
            server.cli("CONFIG", "SET", "requirepass", "s3cret-new")
            server.password = "s3cret-new"
            server.cli("CLIENT", "KILL", "TYPE", "pubsub")
            with measured("noticed"):
                await desk.until(lambda: "it refuses the user and password" in reasons(caplog))
            assert not desk.listener.up
            server.cli("CONFIG", "SET", "requirepass", "s3cret-old")
            with measured("back"):
                await desk.until(lambda: desk.listener.up)

    with RedisServer(password="s3cret-old") as server:
        asyncio.run(scenario(server))

    assert "set the right ones in its URL" in reasons(caplog)
    assert "s3cret" not in reasons(caplog) + caplog.text


def test_behind_sentinels_the_new_master_is_found(server, measured):
    """When the master dies, its replica is promoted, and the channel goes on there."""
    replica = RedisServer("--replicaof", "127.0.0.1", str(server.port))
    sentinel = RedisServer(sentinel=True)
    (sentinel.directory / "redis.conf").write_text(
        f"sentinel monitor mesh 127.0.0.1 {server.port} 1\n"
        "sentinel down-after-milliseconds mesh 500\n"
        "sentinel failover-timeout mesh 3000\n"
    )

    async def scenario() -> None:
        async with listening(f"redis+sentinel://127.0.0.1:{sentinel.port}/mesh") as desk:
            publish(server, SEED)
            await desk.until(lambda: desk.heartbeats == 1)
            await desk.until(lambda: sentinel.cli("SENTINEL", "REPLICAS", "mesh"))
            server.kill()
            with measured("noticed"):
                await desk.until(lambda: not desk.listener.up)
            with measured("back"):
                await desk.until(lambda: desk.listener.up, within=40)
            publish(replica, SEED)
            await desk.until(lambda: desk.heartbeats == 2)

            assert list(desk.map.recent) == []

    with replica, sentinel:
        asyncio.run(scenario())


def test_what_waits_unread_is_no_outage(server):
    """Heartbeats that come at one moment, and take several times as long to be taken in as would be a gap."""
    thresholds = Thresholds(warning_after=10 * SECOND)
    burst = """
        for number = 1, 10000 do
            local name = 'n' .. number % 100
            redis.call('PUBLISH', ARGV[1], '{"type": "node_heartbeat", "data": {"node": "' .. name .. '"}}')
        end
    """

    async def scenario() -> None:
        async with listening(server.url, thresholds) as desk:
            heartbeat, reception, blind_ns = desk.map.heartbeat, desk.map.reception[Transport.BUS], desk.blind_ns
            stalled_ns = desk.stalled_ns

            def slowly(beat: Heartbeat, transport: Transport, *, appear: bool = False) -> Node:
                enough_ns = time.monotonic_ns() + MILLISECOND // 2
                while time.monotonic_ns() < enough_ns:
                    pass
                return heartbeat(beat, transport, appear=appear)

            desk.map.heartbeat = slowly
            await asyncio.to_thread(server.cli, "EVAL", burst, 0, CHANNEL)
            await desk.until(lambda: reception.unproven(time.monotonic_ns()))
            blind = reception.blind(time.monotonic_ns())
            await desk.until(lambda: desk.heartbeats == 10_000)
            await desk.until(lambda: not reception.unproven(time.monotonic_ns()))

            assert (blind, desk.blind_ns) == (False, blind_ns) or desk.stalled_ns > stalled_ns
            assert desk.listener.up

    asyncio.run(scenario())


def test_a_flood_drowns_nobody(server):
    """Rubbish by the thousand, heartbeats in between, and others still have their turn on the event loop."""
    rubbish = [b"\xff" * 200, b"[]", b'{"type": 5}', b'{"type": "chat", "text": "x"}', b"[" * 5000]

    def pour() -> None:
        for number in range(40):
            publish(server, *rubbish * 100, heartbeat(f"n{number}"))

    async def scenario() -> None:
        async with listening(server.url) as desk:
            turns = 0
            publish(server, b"\x00" * 10_000_000)
            flood = asyncio.create_task(asyncio.to_thread(pour))
            while desk.heartbeats < 40:
                await asyncio.sleep(0)
                turns += 1
            await flood

            rejected = {reason.value: count for reason, count in desk.telemetry.events_rejected.items() if count}
            assert rejected == {
                "too_large": 1,
                "not_json": 4000,
                "too_complex": 4000,
                "not_object": 4000,
                "no_type": 4000,
            }
            assert turns > 20_000 // 64
            assert desk.listener.up

    asyncio.run(scenario())
