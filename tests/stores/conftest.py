from __future__ import annotations

import asyncio
import shutil

import pytest

from demo.servers import NEWEST
from exporter.redislink.url import parse_redis_url
from exporter.stores.base import Store
from exporter.stores.memory import MemoryStore
from exporter.stores.redis import RedisStore
from exporter.stores.sqlite import SqliteStore
from tests.support.generations import required
from tests.support.redis_server import RedisServer


@pytest.fixture(scope="session")
def shared_redis():
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="session")
def shared_valkey():
    """The newest Valkey that runs on this machine."""
    program = required(NEWEST).program("valkey-server")
    if shutil.which(program) is None:
        pytest.skip("no Valkey runs on this machine")
    with RedisServer(program=program) as server:
        yield server


@pytest.fixture
def valkey_server(shared_valkey):
    """A Valkey of the whole session, empty for this test."""
    shared_valkey.cli("FLUSHALL")
    return shared_valkey


@pytest.fixture
def redis_server(shared_redis):
    """A Redis of the whole session, empty for this test."""
    shared_redis.cli("FLUSHALL")
    return shared_redis


@pytest.fixture
def run():
    """Run a coroutine; one event loop a test, so that a store may be used in several steps."""
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture
def opened(run):
    """Opens a store that it is given, loads it unless that is not wanted, and closes it at the end."""
    stores = []

    def do(store, *, load=True):
        stores.append(store)
        run(store.open())
        if load:
            run(store.load())
        return store

    yield do
    for store in stores:
        run(store.close())


@pytest.fixture
def open_redis(opened):
    """Opens and loads a store by the URL of a Redis."""
    return lambda url: opened(RedisStore(parse_redis_url(url)))


@pytest.fixture(
    params=["memory", "sqlite", *(pytest.param(name, marks=pytest.mark.servers) for name in ("redis", "valkey"))]
)
def make_store(request, tmp_path, opened):
    """Makes an opened and loaded store of each kind."""

    def make():
        store: Store
        if request.param in {"redis", "valkey"}:
            store = RedisStore(parse_redis_url(request.getfixturevalue(f"{request.param}_server").url))
        elif request.param == "sqlite":
            store = SqliteStore(tmp_path / "aurora.db")
        else:
            store = MemoryStore()
        return opened(store)

    return make


@pytest.fixture
def store(make_store):
    return make_store()
