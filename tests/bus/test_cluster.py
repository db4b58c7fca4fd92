"""The listener on a real Redis Cluster, one node of which is removed and lives on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from demo.ports import free_port
from tests.bus.test_listener import CHANNEL, Listening, heartbeat, listening, publish
from tests.support.redis_server import RedisServer
from tests.support.server_process import until

pytestmark = pytest.mark.servers
Cluster = tuple[RedisServer, RedisServer]


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """Two nodes: the first has all slots."""
    with ExitStack() as stack:
        nodes, buses = [], []
        for _ in range(2):
            buses.append(free_port())
            options = ("--cluster-enabled", "yes", "--cluster-port", str(buses[-1]))
            nodes.append(stack.enter_context(RedisServer(*options)))
        first, second = nodes
        first.cli("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        second.cli("CLUSTER", "MEET", "127.0.0.1", first.port, buses[0])
        until(lambda: [joined(node) for node in nodes], [True, True])
        yield first, second


def joined(node: RedisServer) -> bool:
    return {"cluster_known_nodes:2", "cluster_state:ok"} <= {*node.cli("CLUSTER", "INFO").split()}


def url_of(*nodes: RedisServer) -> str:
    return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes)


async def receives(desk: Listening, node: RedisServer, name: str) -> None:
    """Heartbeats that are published at this node of the cluster arrive."""

    def beat() -> bool:
        publish(node, heartbeat(name))
        return name in desk.map._nodes

    await desk.until(beat)


@pytest.mark.parametrize("reset", [False, True], ids=["forgotten", "removed by redis-cli"])
def test_a_node_that_was_removed_from_its_cluster_is_left_for_the_next(cluster, reset, measured):
    """It keeps its subscribers and answers their pings, but nothing that the cluster publishes reaches them."""
    first, second = cluster

    async def scenario() -> None:
        async with listening(url_of(second, first)) as desk:
            await receives(desk, first, "before")
            assert desk.telemetry.subscriptions_lost == 0
            gone = second.cli("CLUSTER", "MYID")
            first.cli("CLUSTER", "FORGET", gone)
            if reset:
                second.cli("CLUSTER", "RESET", "SOFT")
            with measured("noticed"):
                await desk.until(lambda: desk.telemetry.subscriptions_lost)
            assert desk.held(desk.map.get("before"))
            with measured("back"):
                await desk.until(lambda: desk.listener.up)
            await receives(desk, first, "after")

    asyncio.run(scenario())


def test_a_cluster_of_one_node_proves_itself(cluster):
    """There is no other to publish through."""
    first, second = cluster
    gone = second.cli("CLUSTER", "MYID")
    first.cli("CLUSTER", "FORGET", gone)

    async def scenario() -> None:
        async with listening(url_of(first)) as desk:
            await receives(desk, first, "a")
            alive_ns = desk.source.proof_ns
            await desk.until(lambda: desk.source.proof_ns > alive_ns)
            assert desk.telemetry.subscriptions_lost == 0

    asyncio.run(scenario())


def test_where_probes_are_not_allowed_pings_prove(cluster):
    """An ACL may allow the one channel only."""
    first, second = cluster
    for node in (first, second):
        node.cli("ACL", "SETUSER", "bus", "on", ">secret", "+@all", "-publish", f"&{CHANNEL}", f"&{CHANNEL}:probe:*")

    async def scenario() -> None:
        async with listening(url_of(second, first).replace("//", "//bus:secret@")) as desk:
            await receives(desk, first, "a")

    asyncio.run(scenario())
