from __future__ import annotations

import asyncio

import pytest

from exporter.client.overredis import RedisClient
from exporter.domain.errors import Invalid
from exporter.domain.requestoutcome import OK, Outcome, Reply
from tests.support.redis_server import RedisServer
from tests.support.server_process import until

pytestmark = pytest.mark.servers


def say(redis, listening, *words):
    """The replies to some requests, each made by a method of the client."""

    async def send():
        async with listening(RedisClient(redis.url)) as client:
            return [await word(client) for word in words]

    return asyncio.run(send())


def test_a_node_registers_beats_and_leaves(registry, redis, listening):
    """As over HTTP, but that nobody answers: what came of it is seen at the registry."""

    def document():
        answer = registry.get("/nodes/laptop")
        found = answer.json()
        return (found["role"], found["transport"], found.get("vpn_ip")) if answer.ok else None

    beat = {"role": "edge", "status": "active", "sequence": 1}
    assert say(redis, listening, lambda client: client.heartbeat("laptop", beat)) == [OK]
    until(document, ("edge", "bus", None))
    registration = {"name": "laptop", "role": "edge", "vpn_ip": "10.0.0.5"}
    assert say(redis, listening, lambda client: client.register(registration)) == [OK]
    until(document, ("edge", "bus", "10.0.0.5"))
    assert say(redis, listening, lambda client: client.leave("laptop")) == [OK]
    until(document, None)


def test_many_send_at_once_over_few_connections(registry, redis, listening):
    async def all_of_them():
        async with listening(RedisClient(redis.url, connections=4)) as client:
            return await asyncio.gather(*(client.heartbeat(f"bus-{number}", {}) for number in range(200)))

    assert asyncio.run(all_of_them()) == [OK] * 200
    until(lambda: sum(name.startswith("bus-") for name in registry.nodes()), 200)


def test_a_channel_without_listeners_is_reported(redis, listening):
    """A registry that is down, or that listens elsewhere, receives nothing; the next heartbeat may arrive."""

    async def send():
        async with listening(RedisClient(redis.url, "elsewhere")) as client:
            return await client.heartbeat("a", {})

    answer = asyncio.run(send())
    assert answer == Reply(
        Outcome.UNAVAILABLE,
        f"nobody listens on 'elsewhere' of redis://127.0.0.1:{redis.port}: "
        "is aurora-registry running with --event-bus, on this Redis and channel?",
    )


def test_a_redis_that_is_gone_is_reported_and_found_again(listening):
    """No password in the reason."""

    async def send():
        with RedisServer(password="hunter2") as redis:
            async with listening(RedisClient(redis.url)) as client:
                first = await client.heartbeat("a", {})
                redis.kill()
                lost = await client.heartbeat("a", {})
                redis.start()
                return first.outcome, lost, (await client.heartbeat("a", {})).outcome, client.endpoint, redis.port

    first, lost, again, endpoint, port = asyncio.run(send())
    assert (first, again) == (Outcome.UNAVAILABLE, Outcome.UNAVAILABLE)
    assert lost.outcome is Outcome.UNREACHABLE
    assert lost.reason.startswith(f"Redis at redis://127.0.0.1:{port}: it ")
    assert "hunter2" not in lost.reason + endpoint


def test_a_redis_that_hangs_is_not_waited_for(redis, listening):
    async def send():
        async with listening(RedisClient(redis.url, timeout_seconds=0.1)) as client:
            redis.pause()
            try:
                return await client.heartbeat("a", {})
            finally:
                redis.resume()

    assert asyncio.run(send()) == Reply(
        Outcome.UNREACHABLE, f"Redis at redis://127.0.0.1:{redis.port}: it did not answer in time"
    )


def test_what_is_no_redis_url_is_refused():
    with pytest.raises(Invalid):
        RedisClient("http://10.0.0.1")
