"""Clients of a server that answers with more than anybody can take. What stands on sockets is real."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest
from redis._parsers import Encoder
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from exporter.redislink.connecting import MasterPool, connect, subscriber
from exporter.redislink.errors import REDIS_ERRORS, explain
from exporter.redislink.parser import MAX_ARRAY, MAX_REPLY_BYTES, NOT_ENOUGH_DATA, BoundedParser
from exporter.redislink.url import parse_redis_url
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.servers

TOO_LARGE = "its answer is larger than any that we ask for"
NONE_ASKED = "it does not answer as a Redis does"
KINDS = ("redis://127.0.0.1:{}", "redis+cluster://127.0.0.1:{}", "redis+sentinel://127.0.0.1:{}/m")
MIB = 2**20
PAUSE = 0.002
NEVER = 3600


@contextlib.asynccontextmanager
async def answering(*pieces: bytes, again: bytes = b"") -> AsyncIterator[int]:
    """A server that answers the first bytes of each connection so, piece by piece, and waits."""
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            with contextlib.suppress(OSError):
                await reader.read(1024)
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(PAUSE if len(pieces) > 1 else 0)
                while again:
                    writer.write(again)
                    await writer.drain()
                await asyncio.sleep(NEVER)
        except asyncio.CancelledError:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving)


async def answer_of(client, url):
    """The answer to a command, or the sentence for people where there is none."""
    try:
        async with asyncio.timeout(30):
            return await client.execute_command("GET", "key")
    except REDIS_ERRORS as error:
        return explain(error, parse_redis_url(url))
    finally:
        await client.aclose()


def ask(*pieces, again=b"", url=KINDS[0], client=connect):
    async def once():
        async with answering(*pieces, again=again) as port:
            place = url.format(port)
            return await answer_of(client(place, timeout=20), place)

    return asyncio.run(once())


@pytest.mark.parametrize("url", KINDS)
@pytest.mark.parametrize("client", [connect, subscriber])
@pytest.mark.parametrize("kind", "*%~>|")
def test_a_large_array_is_refused_before_memory_is_set_aside(url, client, kind):
    """By each client that we make: hiredis would take 8 bytes a value at once, and walk through all of them."""
    said = ask(f"{kind}999999999\r\n".encode(), url=url, client=client)
    assert ("the Sentinels know no living master" if "sentinel" in url else TOO_LARGE) in said


async def refusal_of(url):
    """What a connection to it says, looked at once the server's refusal has come."""
    client = subscriber(url)
    connection = client.connection_pool.make_connection()
    try:
        await connection.connect()
        async with asyncio.timeout(10):
            while not connection._reader._buffer:  # noqa: ASYNC110 - a stream sets no event
                await asyncio.sleep(0.001)
        await connection.can_read()
    except RedisConnectionError as error:
        return explain(error, parse_redis_url(url))
    finally:
        await connection.disconnect(nowait=True)
        await client.aclose()


@pytest.mark.parametrize("client", [connect, subscriber])
def test_what_a_server_says_before_it_is_asked_is_its_reason(client):
    """However early it comes: before the first command, with it, or after it."""
    with RedisServer("--maxclients", "3") as server, contextlib.ExitStack() as others:
        for _ in range(3):
            others.enter_context(socket.create_connection(("127.0.0.1", server.port))).sendall(b"PING\r\n")
        said = {asyncio.run(answer_of(client(server.url), server.url)) for _ in range(30)}
        said.add(asyncio.run(refusal_of(server.url)))
        assert said == {
            f"Redis at redis://127.0.0.1:{server.port}: it has as many clients as it allows: raise its maxclients"
        }


def test_sentinels_are_asked_within_the_bounds():
    for client in (connect, subscriber):
        made = client("redis+sentinel://127.0.0.1:1/m")
        assert isinstance(made, Redis)
        pool = made.connection_pool
        assert isinstance(pool, MasterPool)
        sentinels = [sentinel.connection_pool for sentinel in pool.sentinel_manager.sentinels]
        connections = [each.make_connection() for each in (pool, *sentinels)]
        assert [type(connection._parser) for connection in connections] == [BoundedParser] * 2


@pytest.mark.parametrize(
    "pieces",
    [
        (b"*1\r\n*99", b"99", b"99\r\n"),
        (b"*1\r\n", b"*", b"100000\r\n"),
        (b"*2\r\n$3\r\n*11\r\n*999999\r\n",),
        (b"*2\r\n$3\r\n*11\r", b"\n*999999\r\n"),
        (b"*2\r\n$2\r\nab", b"\r\n", b"*", b"9", b"9", b"9", b"9", b"9", b"9", b"9\r\n"),
    ],
)
def test_wherever_its_header_stands(pieces):
    assert TOO_LARGE in ask(*pieces)


@pytest.mark.parametrize(
    "text",
    [b"*999999", b"*9999999\r\n" * 5_000, b"x" * 32_767 + b"*", b"%999999\r\n~999999\r\n>999999\r\n|", b"\r\n" * MIB],
)
@pytest.mark.parametrize("size", [2**20, 7])
def test_a_text_that_looks_like_one_is_a_text(text, size):
    """Wherever it is cut."""
    text = text[: 100 * size]
    whole = b"$%d\r\n%s\r\n" % (len(text), text)
    assert ask(*(whole[at : at + size] for at in range(0, len(whole), size))) == text


def test_the_largest_that_we_allow_is_read():
    text = b"x" * (MAX_REPLY_BYTES - 100)
    assert ask(b"$%d\r\n%s\r\n" % (len(text), text)) == text
    assert ask(b"*%d\r\n" % MAX_ARRAY + b"$1\r\nx\r\n" * MAX_ARRAY) == [b"x"] * MAX_ARRAY


@pytest.mark.parametrize(
    ("begin", "again"),
    [
        (b"$536870912\r\n", bytes(65_536)),
        (b"*99999\r\n" * 7, b"*0\r\n" * 16_384),
        (b"*99999\r\n" * 7, b"-\r\n" * 16_384),
        (b"*99999\r\n" * 7, b"$40000\r\n" + bytes(40_000) + b"\r\n"),
    ],
)
def test_an_answer_without_end_is_given_up(begin, again):
    assert TOO_LARGE in ask(begin, again=again)


SLOTS = b"*3\r\n:%d\r\n:%d\r\n*3\r\n$9\r\n127.0.0.1\r\n:1\r\n$1\r\na\r\n"


@pytest.mark.parametrize(
    "ranges",
    [[(0, 10**15)], [(-(10**15), 5)], [(0, 16_383)] * 10_000, [(5, 4), (0, 16_384)], [(0, 16_383), (3, 3)]],
)
def test_slots_that_no_cluster_has_are_refused(ranges):
    """redis-py would go through all of them, and hold up the event loop for as long."""
    answer = b"*%d\r\n" % len(ranges) + b"".join(SLOTS % each for each in ranges)
    assert NONE_ASKED in ask(answer, url="redis+cluster://127.0.0.1:{}")


def test_a_connection_that_is_given_up_holds_nothing():
    """Not even what the server did not take: closing it cleanly would wait for that forever."""

    async def write():
        async with answering() as port:
            client = subscriber(f"redis://127.0.0.1:{port}", timeout=0.1)
            connection = client.connection_pool.make_connection()
            await connection.connect()
            transport = connection._writer.transport
            with pytest.raises(REDIS_ERRORS):
                await connection.send_command("SET", "key", bytes(50 * MIB))
            left = transport.get_write_buffer_size()
            await client.aclose()
            return left

    assert asyncio.run(write()) == 0


def test_what_a_real_redis_answers_is_read_as_ever():
    """Large and small, one after the other, and events between."""
    with RedisServer() as server:

        async def use():
            client = connect(server.url, timeout=20)
            try:
                for size in (0, 1, 32_767, 32_768, 5 * MIB):
                    await client.set("key", b"*" * size)
                    assert await client.get("key") == b"*" * size
                await client.rpush("list", *(b"*%d" % number for number in range(20_000)))
                assert await client.lrange("list", 0, -1) == [b"*%d" % number for number in range(20_000)]
            finally:
                await client.aclose()

        asyncio.run(use())


def test_a_sentinel_that_says_too_much_hides_no_other():
    with RedisServer() as master:
        sentinel = RedisServer(sentinel=True)
        (sentinel.directory / "redis.conf").write_text(f"sentinel monitor m 127.0.0.1 {master.port} 1\n")
        try:
            sentinel.start()
            said = ask(b"*999999999\r\n", url=f"redis+sentinel://127.0.0.1:{{}},127.0.0.1:{sentinel.port}/m")
        finally:
            sentinel.close()
    assert said is None


def test_answers_that_are_here_are_taken_without_waiting():
    """Each whole one; half of one is waited for, a refusal is raised, and after the end there is none."""

    async def take():
        stream, encoder = asyncio.StreamReader(), Encoder("utf-8", "strict", decode_responses=False)
        writer = SimpleNamespace(transport=asyncio.WriteTransport())
        parser = BoundedParser(65_536)
        parser.on_connect(SimpleNamespace(_reader=stream, _writer=writer, encoder=encoder))
        assert parser.received() is NOT_ENOUGH_DATA

        stream.feed_data(b"+one\r\n*2\r\n:2\r\n:3\r\n-ERR no\r\n+fo")
        assert await parser.read_response() == b"one"
        assert parser.received() == [2, 3]
        with pytest.raises(ResponseError, match="no"):
            parser.received()
        assert parser.received() is NOT_ENOUGH_DATA

        stream.feed_data(b"ur\r\n+five\r\n")
        assert await parser.read_response() == b"four"
        with contextlib.suppress(NotImplementedError):  # of the transport, which has no socket to abort
            parser.on_disconnect()
        with pytest.raises(RedisConnectionError, match="closed"):
            parser.received()

    asyncio.run(take())
