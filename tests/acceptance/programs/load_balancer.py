# ruff: noqa: T201 - a program prints
"""A balancer routes to active nodes only."""

import asyncio

from tests.acceptance.programs.environment import aiohttp


async def get_active_backends():
    response = await aiohttp.get("http://node-registry:9999/nodes")
    nodes = await response.json()

    return [f"http://{node['vpn_ip']}:8000" for node in nodes["nodes"].values() if node["status"] == "active"]


print("\n".join(asyncio.run(get_active_backends())))
