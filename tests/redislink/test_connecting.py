from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis, RedisCluster
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from exporter.redislink.connecting import connect, subscriber
from exporter.redislink.url import parse_redis_url
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def server():
    with RedisServer(password="p@ss/word") as server:
        yield server


@pytest.fixture
def url(server):
    return f"redis://:p%40ss%2Fword@127.0.0.1:{server.port}/3"


def ask(client, *command):
    async def once():
        try:
            return await client.execute_command(*command)
        finally:
            await client.aclose()

    return asyncio.run(once())


def test_a_client_uses_the_database_that_the_url_names(url, server):
    """With the password as it was meant, and bytes for answers."""
    ask(connect(url), "SET", "key", "värde")

    assert ask(connect(parse_redis_url(url)), "GET", "key") == "värde".encode()
    assert server.cli("INFO", "keyspace")["db3"]["keys"] == 1


@pytest.mark.parametrize("client", [connect, subscriber])
def test_a_server_that_hangs_is_given_up_when_the_time_is_up(url, server, client):
    """Once: the time that the caller gave is not multiplied by attempts."""
    server.pause()
    try:
        with pytest.raises(RedisTimeoutError):
            asyncio.run(asyncio.wait_for(_ping(client(url, timeout=0.1)), 1))
    finally:
        server.resume()


async def _ping(client):
    try:
        await client.ping()
    finally:
        await client.aclose()


@pytest.mark.parametrize("client", [connect, subscriber])
@pytest.mark.parametrize("kind", ["redis://h:1", "redis+sentinel://h:1/m", "redis+cluster://h:1"])
def test_a_client_does_not_show_its_password(client, kind):
    """Neither by repr nor in what it raises."""
    made = client(kind.replace("h:1", ":s3cret@127.0.0.1:1"))

    with pytest.raises(Exception, match=r".+") as caught:
        ask(made, "PING")

    assert "s3cret" not in repr(made) + str(caught.value) + repr(caught.value)


def test_a_connection_that_the_server_closed_is_made_again(url, server):
    async def survive():
        client = connect(url)
        try:
            await client.ping()
            await asyncio.to_thread(server.cli, "CLIENT", "KILL", "TYPE", "normal")
            return await client.ping()
        finally:
            await client.aclose()

    assert asyncio.run(survive()) is True


def test_messages_of_a_cluster_come_from_any_node_that_lives():
    with RedisServer("--cluster-enabled", "yes") as node:
        client = subscriber(f"redis+cluster://127.0.0.1:1,127.0.0.1:{node.port}")
        assert type(client) is Redis
        assert ask(client, "PUBLISH", "channel", "text") == 0


def test_of_a_cluster_without_a_node_that_lives_the_last_error_is_raised():
    with pytest.raises(RedisConnectionError, match=r"127\.0\.0\.1:2"):
        ask(subscriber("redis+cluster://127.0.0.1:1,127.0.0.1:2"), "PING")


def test_messages_are_those_of_the_master_that_the_sentinels_name():
    """One Sentinel of the two is gone; the master wants a password, the Sentinel wants none."""
    with RedisServer(password="pass") as master:
        sentinel = RedisServer(sentinel=True)
        (sentinel.directory / "redis.conf").write_text(
            f"sentinel monitor aurora 127.0.0.1 {master.port} 1\nsentinel auth-pass aurora pass\n"
        )
        try:
            sentinel.start()
            client = subscriber(f"redis+sentinel://:pass@127.0.0.1:1,127.0.0.1:{sentinel.port}/aurora")
            assert ask(client, "CONFIG", "GET", "port") == [b"port", str(master.port).encode()]
        finally:
            sentinel.close()


def test_a_subscription_receives_what_is_published(url):
    """Over a connection of its own, as the bus does it."""

    async def receive():
        client = subscriber(url)
        connection = client.connection_pool.make_connection()
        try:
            await connection.connect()
            await connection.send_command("SUBSCRIBE", "channel")
            await connection.read_response(push_request=True)
            await client.publish("channel", "text")
            return await connection.read_response(push_request=True)
        finally:
            await connection.disconnect()
            await client.aclose()

    assert asyncio.run(receive()) == [b"message", b"channel", b"text"]


def test_only_a_cluster_has_a_client_of_its_own(url):
    assert type(connect(url)) is Redis
    assert type(connect("redis+sentinel://h/m")) is Redis
    assert type(connect("redis+cluster://h")) is RedisCluster
