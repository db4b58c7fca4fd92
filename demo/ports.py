"""Ports of the loopback interface: the usual one where nobody has it, another one where somebody does."""

from __future__ import annotations

import random
import socket

HOST = "127.0.0.1"
_FIRST, _LAST = 20_000, 32_000
"""Below the range that the kernel hands out by itself, with room for the bus of a Redis cluster 10,000 above."""


def is_free(port: int) -> bool:
    """Whether nobody listens on it now, on this interface or on all."""
    with socket.socket() as probe:
        # As servers do: connections of one that ended a moment ago are no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_port(usual: int | None = None) -> int:
    """The usual port if it is free, else any other that is."""
    port = usual
    while port is None or not is_free(port):
        port = random.randrange(_FIRST, _LAST)  # noqa: S311 - no secret
    return port
