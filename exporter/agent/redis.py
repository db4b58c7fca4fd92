"""Finding the Redis that takes events, and getting in: within a deadline, whichever of its servers are gone."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from exporter.agent.busurl import CLUSTER, SENTINEL, TLS, BusUrl
from exporter.agent.checks import shown
from exporter.agent.exits import UsageError
from exporter.agent.resp import BusFault, RespConnection

Value = TypeVar("Value")
Wrap = Callable[[socket.socket, str], socket.socket]


class Redis:
    """Makes connections to one Redis: the server of the URL, the master of the moment, or a node of the cluster.

    Raises UsageError where files of TLS cannot be used.
    """

    def __init__(self, url: BusUrl) -> None:
        self._url = url
        self._wrap = _wrapper(url) if url.scheme == TLS else None

    def connect(self, deadline: float) -> RespConnection:
        """Raises OSError and BusFault: of several servers, what the last one had to say."""
        url = self._url
        if url.scheme == SENTINEL:
            host, port = _first(url.places, deadline, self._ask_sentinel, shares=len(url.places) + 1)
            return self._open((host, port), url.login, deadline)
        shares = len(url.places) if url.scheme == CLUSTER else 1
        return _first(url.places, deadline, lambda place, until: self._open(place, url.login, until), shares=shares)

    def _ask_sentinel(self, place: tuple[str, int], deadline: float) -> tuple[str, int]:
        options, service = self._url.options, self._url.service
        login = [options[name] for name in ("sentinel_username", "sentinel_password") if options.get(name)]
        connection = self._open(place, login, deadline)
        try:
            master = connection.call(deadline, "SENTINEL", "get-master-addr-by-name", service)
        finally:
            connection.close()
        if master is None:
            raise BusFault(f"the Sentinels know no master {shown(service)}")
        try:
            host, port = master
            return host.decode(), int(port)
        except (TypeError, ValueError, AttributeError):
            raise BusFault(f"a Sentinel answers {shown(master)}, which is no address") from None

    def _open(self, place: tuple[str, int], login: Sequence[str], deadline: float) -> RespConnection:
        connected = socket.create_connection(place, timeout=max(0.001, deadline - time.monotonic()))
        try:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._wrap:
                connected = self._wrap(connected, place[0])
            connection = RespConnection(connected)
            if login:
                connection.call(deadline, "AUTH", *login)
        except BaseException:
            connected.close()
            raise
        return connection


def _first(
    places: Sequence[tuple[str, int]],
    deadline: float,
    attempt: Callable[[tuple[str, int], float], Value],
    *,
    shares: int,
) -> Value:
    """What the first place gives that gives something; each may take its share of the time that is left."""
    for position, place in enumerate(places, 1):
        now = time.monotonic()
        try:
            return attempt(place, now + (deadline - now) / shares)
        except (OSError, BusFault):
            if position == len(places):
                raise
        shares -= 1
    raise BusFault("no server is named")


def _wrapper(url: BusUrl) -> Wrap:
    from exporter.agent.tls import context_of, wrapper  # noqa: PLC0415 - heavy, and rarely needed

    files = [url.options.get(name, "") for name in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")]
    try:
        return wrapper(context_of(*files))
    except UsageError as error:
        reason = str(error).partition(": ")[2]
        raise UsageError(f"--event-bus (AURORA_EVENT_BUS), ssl_ca_certs, ssl_certfile, ssl_keyfile: {reason}") from None
