"""The TCP proxy of `tcp_proxy` for tests that are not asynchronous: a cable that can be pulled."""

from __future__ import annotations

import asyncio
import threading
from typing import Self

from tests.support.tcp_proxy import TcpProxy


class ProxyThread:
    """Runs the proxy in a thread of its own; `with ProxyThread(port) as proxy`."""

    def __init__(self, port: int) -> None:
        self._proxy = TcpProxy(port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._proxy.port

    @property
    def accepted(self) -> int:
        """So many connections were made."""
        return self._proxy.accepted

    def cut(self) -> None:
        """Nothing comes through from now on, and neither side notices."""
        self._loop.call_soon_threadsafe(self._proxy.black_hole)

    def spoil(self, first: bytes, again: bytes) -> None:
        """Instead of the server's answers comes this, asked or not: `first`, and `again` without end."""
        self._loop.call_soon_threadsafe(self._proxy.spoil, first, again)

    def heal(self) -> None:
        """New connections come through again."""
        self._loop.call_soon_threadsafe(self._proxy.heal)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._proxy.__aenter__(), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._proxy.__aexit__(None, None, None), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
