"""What lies between one registry and its Redis behind a Sentinel: TCP proxies that can be pulled out, all at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Self

from tests.support.tcp_proxy import TcpProxy


class SentinelProxy(TcpProxy):
    """Has the Sentinel's answers name other ports, of as many digits: those of the proxies before the servers."""

    def __init__(self, port: int, ports: Mapping[int, int]) -> None:
        super().__init__(port)
        self._ports = {f"\r\n{real}\r\n".encode(): f"\r\n{other}\r\n".encode() for real, other in ports.items()}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, era: int) -> None:
        while chunk := await reader.read(65_536):
            for real, other in self._ports.items():
                chunk = chunk.replace(real, other)
            if era == self._era:
                writer.write(chunk)
                await writer.drain()


class Cables:
    """One registry's own way to the Sentinel and to every Redis."""

    def __init__(self, sentinel: int, servers: Sequence[int]) -> None:
        self._sentinel = sentinel
        self._servers = servers
        self._proxies: list[TcpProxy] = []
        self._stack = AsyncExitStack()
        self.port = 0
        """Where the registry finds its Sentinel."""

    async def __aenter__(self) -> Self:
        for port in self._servers:
            self._proxies.append(await self._stack.enter_async_context(TcpProxy(port)))
        ports = {real: proxy.port for real, proxy in zip(self._servers, self._proxies, strict=True)}
        proxy = await self._stack.enter_async_context(SentinelProxy(self._sentinel, ports))
        self._proxies.append(proxy)
        self.port = proxy.port
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def cut(self) -> None:
        """Nothing comes through, and neither side notices."""
        for proxy in self._proxies:
            proxy.black_hole()

    def heal(self) -> None:
        """New connections come through."""
        for proxy in self._proxies:
            proxy.heal()
