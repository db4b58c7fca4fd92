"""Ports of the loopback interface: the usual one where nobody has it, another one where somebody does."""

from __future__ import annotations

import functools
import itertools
import os
import random
import socket
from collections.abc import Iterator

HOST = "127.0.0.1"
_BLOCKS = range(20_000, 32_000, 100)
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
    """The usual port if it is free, else another one, which no other process gets from here while this one lives.

    OSError when every port is taken.
    """
    if usual is not None and is_free(usual):
        return usual
    first, ports = _claimed(os.getpid())
    for port in itertools.islice(ports, _BLOCKS.step):
        if is_free(port):
            return port
    raise OSError(f"every port from {first} to {first + _BLOCKS.step} is taken; `ss -ltnp` names the programs")


@functools.cache
def _claimed(_process: int) -> tuple[int, Iterator[int]]:
    """A block of ports for one process: its first one, bound and never listened on, is the claim to the others."""
    for first in random.sample(_BLOCKS, len(_BLOCKS)):
        claim = socket.socket()
        try:
            claim.bind((HOST, first))
        except OSError:
            claim.close()
            continue
        claim.detach()  # open until the process ends
        return first, itertools.cycle(range(first + 1, first + _BLOCKS.step))
    raise OSError(f"every block of {_BLOCKS.step} ports from {_BLOCKS.start} to {_BLOCKS.stop} is claimed")
