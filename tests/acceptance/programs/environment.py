"""What the coordinator's and the balancer's programs take for granted around them."""

from __future__ import annotations

from typing import Any

from aiohttp import ClientResponse, ClientSession

registered: list[str] = []


class aiohttp:  # noqa: N801 - stands where the programs expect the module
    """Its `get` is a session's: the module itself has none."""

    @staticmethod
    async def get(url: str) -> ClientResponse:
        """The answer, its body received."""
        async with ClientSession() as session, session.get(url) as response:
            await response.read()
            return response


async def register_gpu_node(name: str, info: dict[str, Any]) -> None:
    """The GPU mesh takes a node on."""
    registered.append(f"{name}: {info['capabilities']['gpu_count']} x {info['capabilities']['gpu_type']}")
