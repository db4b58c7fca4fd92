"""A mesh whose nodes all come back in the same moment."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.support.registry_process import RegistryProcess
from tests.support.server_process import until

pytestmark = pytest.mark.servers

NODES, CONNECTIONS = 5_000, 250
NAMES = [f"node-{number:04}" for number in range(NODES)]


async def register(registry: RegistryProcess) -> list[int]:
    """Each node registers and sends a heartbeat, all of them at once; the statuses of the answers."""
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    timeout = aiohttp.ClientTimeout(total=100)
    async with aiohttp.ClientSession(registry.url, connector=connector, timeout=timeout) as session:

        async def come(name: str) -> list[int]:
            body = {"name": name, "capabilities": {"gpu": True, "gpu_count": 1}}
            answers = []
            for path in ("/nodes/register", f"/nodes/{name}/heartbeat"):
                async with session.post(path, json=body if path == "/nodes/register" else None) as answer:
                    answers.append(answer.status)
            return answers

        return [status for answers in await asyncio.gather(*map(come, NAMES)) for status in answers]


def test_five_thousand_nodes_register_again_at_once(new_registry):
    """All are in, the first time and the second, and what was acknowledged is there after kill -9."""
    registry = new_registry(store="sqlite:///nodes.db").start()
    assert asyncio.run(register(registry)) == [201, 204] * NODES
    assert asyncio.run(register(registry)) == [200, 204] * NODES
    registry.kill()
    registry.start()
    until(lambda: sorted(registry.nodes()), NAMES)
