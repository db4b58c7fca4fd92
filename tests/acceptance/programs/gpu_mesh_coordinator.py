# ruff: noqa: T201 - a program prints
"""The GPU mesh discovers its nodes."""

import asyncio

from tests.acceptance.programs.environment import aiohttp, register_gpu_node, registered


async def discover_gpu_nodes():
    response = await aiohttp.get("http://node-registry:9999/nodes")
    nodes = await response.json()

    for name, info in nodes["nodes"].items():
        if info.get("capabilities", {}).get("gpu"):
            await register_gpu_node(name, info)


asyncio.run(discover_gpu_nodes())
print("\n".join(registered))
