from __future__ import annotations

import asyncio

import pytest

from exporter.domain.errors import Invalid
from exporter.speaking.overbus import BusVoice
from exporter.speaking.voice import HEARD, Answer, Outcome
from tests.support.redis_server import RedisServer
from tests.support.server_process import until

pytestmark = pytest.mark.servers


def say(redis, listening, *words):
    """The answers to some words, each said by a function of the voice."""

    async def speak():
        async with listening(BusVoice(redis.url)) as voice:
            return [await word(voice) for word in words]

    return asyncio.run(speak())


def test_a_node_registers_is_heard_and_leaves(registry, redis, listening):
    """As over HTTP, but that nobody answers: what came of it is seen at the registry."""

    def document():
        answer = registry.get("/nodes/laptop")
        found = answer.json()
        return (found["role"], found["transport"], found.get("vpn_ip")) if answer.ok else None

    beat = {"role": "edge", "status": "active", "sequence": 1}
    assert say(redis, listening, lambda voice: voice.heartbeat("laptop", beat)) == [HEARD]
    until(document, ("edge", "bus", None))
    registration = {"name": "laptop", "role": "edge", "vpn_ip": "10.0.0.5"}
    assert say(redis, listening, lambda voice: voice.register(registration)) == [HEARD]
    until(document, ("edge", "bus", "10.0.0.5"))
    assert say(redis, listening, lambda voice: voice.leave("laptop")) == [HEARD]
    until(document, None)


def test_many_speak_at_once_over_few_connections(registry, redis, listening):
    async def all_of_them():
        async with listening(BusVoice(redis.url, connections=4)) as voice:
            return await asyncio.gather(*(voice.heartbeat(f"bus-{number}", {}) for number in range(200)))

    assert asyncio.run(all_of_them()) == [HEARD] * 200
    until(lambda: sum(name.startswith("bus-") for name in registry.nodes()), 200)


def test_a_channel_without_listeners_is_told(redis, listening):
    """A registry that is down, or that listens elsewhere, hears nothing; the next heartbeat may be heard."""

    async def speak():
        async with listening(BusVoice(redis.url, "elsewhere")) as voice:
            return await voice.heartbeat("a", {})

    answer = asyncio.run(speak())
    assert answer == Answer(
        Outcome.UNAVAILABLE,
        f"nobody listens on 'elsewhere' of redis://127.0.0.1:{redis.port}: "
        "is aurora-registry running with --event-bus, on this Redis and channel?",
    )


def test_a_redis_that_is_gone_is_told_and_found_again(listening):
    """No password in the reason."""

    async def speak():
        with RedisServer(password="hunter2") as redis:
            async with listening(BusVoice(redis.url)) as voice:
                first = await voice.heartbeat("a", {})
                redis.kill()
                lost = await voice.heartbeat("a", {})
                redis.start()
                return first.outcome, lost, (await voice.heartbeat("a", {})).outcome, voice.place, redis.port

    first, lost, again, place, port = asyncio.run(speak())
    assert (first, again) == (Outcome.UNAVAILABLE, Outcome.UNAVAILABLE)
    assert lost.outcome is Outcome.UNREACHABLE
    assert lost.reason.startswith(f"Redis at redis://127.0.0.1:{port}: it ")
    assert "hunter2" not in lost.reason + place


def test_a_redis_that_hangs_is_not_waited_for(redis, listening):
    async def speak():
        async with listening(BusVoice(redis.url, timeout_seconds=0.1)) as voice:
            redis.pause()
            try:
                return await voice.heartbeat("a", {})
            finally:
                redis.resume()

    assert asyncio.run(speak()) == Answer(
        Outcome.UNREACHABLE, f"Redis at redis://127.0.0.1:{redis.port}: it did not answer in time"
    )


def test_what_is_no_redis_url_is_refused():
    with pytest.raises(Invalid):
        BusVoice("http://10.0.0.1")
