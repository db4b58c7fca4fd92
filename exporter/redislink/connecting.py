"""Clients for a Redis URL: every call answers or fails within its deadline, and is never retried."""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import Connection, ConnectionPool, SSLConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse
from redis.exceptions import TimeoutError as RedisTimeoutError

from exporter.redislink.errors import REDIS_ERRORS
from exporter.redislink.parser import BoundedParser
from exporter.redislink.url import RedisScheme, RedisUrl, parse_redis_url

TIMEOUT_SECONDS = 0.8
"""How long a connection, and each answer on it, may take."""
SLOTS = 16_384
"""Of a cluster."""


def connect(url: RedisUrl | str, *, timeout: float = TIMEOUT_SECONDS) -> Redis | RedisCluster:
    """A client for the data; it connects when it is first asked, and answers are bytes.

    `timeout` (seconds) bounds each single wait. redis-py by itself would wait 5 s and try ten times more; here only a
    broken connection is tried once more, at once, and a time that ran out is the caller's to judge.
    Behind Sentinels the connection follows the master. Close it with `aclose`.
    """
    url = parse_redis_url(url) if isinstance(url, str) else url
    if url.kind is not RedisScheme.CLUSTER:
        return subscriber(url, timeout=timeout)
    options = _options(url, timeout)
    nodes = [ClusterNode(host, port) for host, port in url.hosts]
    parser = options.pop("parser_class")
    client = RedisCluster(startup_nodes=nodes, max_connections=16, **options)
    # What RedisCluster takes no arguments for, though its nodes do.
    client.connection_kwargs["parser_class"] = parser
    client.connection_kwargs["response_callbacks"]["CLUSTER SLOTS"] = check_slots
    for node in client.startup_nodes:
        node.connection_kwargs["parser_class"] = parser
    return client


def subscriber(url: RedisUrl | str, *, timeout: float = TIMEOUT_SECONDS) -> Redis:
    """A client of one server, for Pub/Sub: the server, the current master, or any node of a cluster that answers.

    A connection of `client.connection_pool.make_connection()` finds its server each time that it connects.
    """
    url = parse_redis_url(url) if isinstance(url, str) else url
    options = _options(url, timeout)
    if url.kind is RedisScheme.SENTINEL:
        return Redis.from_pool(_sentinel_pool(url, options, timeout))
    if url.kind is RedisScheme.CLUSTER:
        pool = ConnectionPool(connection_class=AnyNodeConnection, nodes=url.hosts, **options)
        return Redis.from_pool(pool)
    if url.kind is RedisScheme.TLS:
        options |= {"connection_class": SSLConnection, **url.options}
    host, port = url.hosts[0]
    return Redis.from_pool(ConnectionPool(host=host, port=port, db=url.db, **options))


async def master_of(client: Redis | RedisCluster) -> tuple[str, int] | None:
    """The master that the Sentinels name now; None where there are none, or none answers.

    One that was taken for dead by mistake lives on as it was, for ten seconds or more, and says that it is the master.
    New connections of the client go to the master that is named.
    """
    pool = None if isinstance(client, RedisCluster) else client.connection_pool
    if not isinstance(pool, MasterPool):
        return None
    try:
        host, port = await pool.get_master_address()  # type: ignore[no-untyped-call]
    except REDIS_ERRORS:
        return None
    return host, port


async def leave_master(client: Redis | RedisCluster) -> None:
    """Close the connections through Sentinels, those in use as well: the next ones are to the master that is named."""
    pool = None if isinstance(client, RedisCluster) else client.connection_pool
    if isinstance(pool, MasterPool):
        await pool.disconnect()


def check_slots(answer: list[list[Any]]) -> list[list[Any]]:
    """What CLUSTER SLOTS answered: redis-py goes through each slot of each range, as many as a server may say.

    Raises InvalidResponse unless each slot is there once at most.
    """
    left = SLOTS
    for first, last, *_ in answer:
        left -= last - first + 1
        if not (0 <= first <= last < SLOTS and left >= 0):
            raise InvalidResponse(f"Protocol error: the slots {first} to {last} are none of a cluster, or there twice")
    return answer


class AnyNodeConnection(Connection):
    """A connection to the first of several nodes that takes one: messages reach all nodes of a cluster."""

    def __init__(self, *, nodes: tuple[tuple[str, int], ...], **options: Any) -> None:
        super().__init__(**options)
        self._nodes = nodes

    async def connect(self) -> None:
        """Connect to the first node that answers; raises what the last one raised."""
        for position, (host, port) in enumerate(self._nodes, 1):
            if not self.is_connected:
                self.host, self.port = host, port
            try:
                await super().connect()  # type: ignore[no-untyped-call]
            except (RedisConnectionError, RedisTimeoutError):
                if position == len(self._nodes):
                    raise
            else:
                return


class MasterPool(SentinelConnectionPool):
    """Connections to the current master; closing it closes those to the Sentinels as well."""

    async def aclose(self) -> None:
        """Close all connections."""
        await super().aclose()
        await self.sentinel_manager.aclose()


def _sentinel_pool(url: RedisUrl, options: dict[str, Any], timeout: float) -> MasterPool:
    # Each attempt asks the Sentinels again, at the price of all their timeouts: one is enough.
    options = {**options, "retry": Retry(NoBackoff(), 0)}
    sentinel_options = {
        **options,
        "username": url.options.get("sentinel_username"),
        "password": url.options.get("sentinel_password"),
        # All of them together within the one timeout, so that dead Sentinels do not hide one that lives.
        "socket_timeout": timeout / len(url.hosts),
        "socket_connect_timeout": timeout / len(url.hosts),
    }
    parser = sentinel_options.pop("parser_class")
    sentinel = Sentinel(url.hosts, sentinel_kwargs=sentinel_options)  # type: ignore[no-untyped-call]
    for client in sentinel.sentinels:
        client.connection_pool.connection_kwargs["parser_class"] = parser
    return MasterPool(url.service, sentinel, db=url.db, **options)  # type: ignore[no-untyped-call]


def _options(url: RedisUrl, timeout: float) -> dict[str, Any]:
    return {
        "username": url.username or None,
        "password": url.password or None,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        # A server that restarted closed the connections in the pool, which nobody notices before they are used.
        "retry": Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        "protocol": 2,
        "driver_info": None,
        "decode_responses": False,
        "parser_class": BoundedParser,
    }
