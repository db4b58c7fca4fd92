"""A real registry and a real Redis for clients to use."""

from __future__ import annotations

import contextlib

import pytest

from tests.support.redis_server import RedisServer
from tests.support.registry_process import RegistryProcess


@pytest.fixture(scope="module")
def redis():
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def registry(redis, tmp_path_factory):
    """Over memory, with a bus."""
    with RegistryProcess(tmp_path_factory.mktemp("registry"), event_bus=redis.url) as process:
        yield process


@pytest.fixture
def listening():
    """A context in which a client is used, and closed at its end."""

    @contextlib.asynccontextmanager
    async def use(client):
        try:
            yield client
        finally:
            await client.aclose()

    return use
