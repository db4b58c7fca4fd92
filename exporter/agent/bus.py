"""The event bus: each message is an event that is published on a Redis channel."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from exporter.agent.busurl import CLUSTER, parse_bus_url
from exporter.agent.checks import shown
from exporter.agent.http import why_no_answer
from exporter.agent.redis import Redis
from exporter.agent.resp import BusFault, RespConnection
from exporter.domain.eventnames import DEREGISTER, HEARTBEAT, REGISTER, REGISTER_REQUESTED
from exporter.domain.requestoutcome import OK, Outcome, Reply
from exporter.domain.signing import signed_event

TIMEOUT = 5.0
RETRY, PATIENCE = 5.0, 15.0


class BusRegistry:
    """Publishes events. OK means that somebody listens on the channel; a refusal is seen in the registry's log alone.

    Raises UsageError for a URL that is none.
    """

    def __init__(self, url: str, channel: str, *, token: Callable[[], str] = str) -> None:
        """`token` gives what events are signed with; they are not, where it is empty."""
        parsed = parse_bus_url(url)
        self._redis = Redis(parsed)
        self._shown = parsed.shown
        self._is_cluster = parsed.scheme == CLUSTER
        self._channel = channel
        self._token = token
        self._signed_ms = 0
        self.endpoint = f"{parsed.shown} {channel}"
        """The Redis, without user and password, and the channel."""
        self.timeout = TIMEOUT
        self.answers = False
        self._listening = False
        self._connection: RespConnection | None = None

    def register(self, registration: Mapping[str, Any]) -> Reply:
        """Publish `node_register`."""
        return self._publish(REGISTER, registration.get("name"), registration)

    def heartbeat(self, node: str, report: Mapping[str, Any]) -> Reply:
        """Publish `node_heartbeat`."""
        return self._publish(HEARTBEAT, node, {"node": node, **report})

    def leave(self, node: str) -> Reply:
        """Publish `node_deregister`."""
        return self._publish(DEREGISTER, node, {"node": node})

    def close(self) -> None:
        """End the connection that events go over."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def listen(self, node: str, requested: Callable[[], None], rest: Callable[[float], object]) -> None:
        """From now on, call `requested` when a registry asks this node to register; in a thread of its own."""
        thread = threading.Thread(target=self._listen, args=(node, requested, rest), name="aurora-bus", daemon=True)
        thread.start()

    def _listen(self, node: str, requested: Callable[[], None], rest: Callable[[float], object]) -> None:
        while True:
            # Whatever comes over the bus, the heartbeats go on.
            with contextlib.suppress(Exception):
                self._follow(node, requested)
            self._listening = False
            rest(RETRY)

    def _follow(self, node: str, requested: Callable[[], None]) -> None:
        wish, channel = REGISTER_REQUESTED.encode(), self._channel.encode()
        with contextlib.closing(self._redis.connect(_in(TIMEOUT))) as connection:
            connection.call(_in(TIMEOUT), "SUBSCRIBE", channel)
            self._listening = True
            while True:
                if not connection.is_there(_in(PATIENCE)):
                    connection.send(_in(TIMEOUT), "PING")
                message = connection.read(_in(PATIENCE))
                if not isinstance(message, list) or message[:2] != [b"message", channel]:
                    continue
                # The channel carries everybody's heartbeats: few of them are worth a look.
                data = message[-1]
                if isinstance(data, bytes) and wish in data and _asks(data, node):
                    requested()

    def _publish(self, event: str, node: object, data: Mapping[str, Any]) -> Reply:
        deadline = _in(self.timeout)
        kept = self._connection is not None
        try:
            try:
                listeners = self._send(event, node, data, deadline)
            except (OSError, BusFault):
                if not kept or time.monotonic() >= deadline:
                    raise
                # It ended a connection that had been idle. Every event of ours may be repeated.
                listeners = self._send(event, node, data, deadline)
        except (OSError, BusFault, ValueError) as error:
            # A ValueError: a host name that no resolver takes.
            return Reply(Outcome.UNREACHABLE, f"{self.endpoint}: {why_no_answer(error, self.timeout, 'ssl_ca_certs')}")
        # We listen ourselves, for what registries ask of us.
        if listeners <= int(self._listening) and not self._is_cluster:
            return Reply(
                Outcome.UNAVAILABLE,
                f"nobody listens on {shown(self._channel)} of {self._shown}: "
                "is aurora-registry running with --event-bus, on this Redis and channel?",
            )
        return OK

    def _send(self, event: str, node: object, data: Mapping[str, Any], deadline: float) -> int:
        """Publish it; how many received it."""
        if self._connection is None:
            self._connection = self._redis.connect(deadline)
        try:
            return self._connection.number(deadline, "PUBLISH", self._channel, self._payload(event, node, data))
        except BaseException:
            self.close()
            raise

    def _payload(self, event: str, node: object, data: Mapping[str, Any]) -> bytes:
        token = self._token()
        if not token:
            return json.dumps({"type": event, "source_node": node, "data": data}, allow_nan=False).encode()
        # Each later than the one before, whatever the clock does: a repeated event is recognized by that.
        self._signed_ms = max(self._signed_ms + 1, time.time_ns() // 1_000_000)
        return signed_event(token, event, str(node), data, self._signed_ms)


def _in(seconds: float) -> float:
    """The deadline, on the monotonic clock."""
    return time.monotonic() + seconds


def _asks(data: bytes, node: str) -> bool:
    """Whether a registry asks this node to register."""
    try:
        event = json.loads(data)
    except (ValueError, RecursionError):
        return False
    subject = event.get("data") if isinstance(event, dict) else None
    return isinstance(subject, dict) and event.get("type") == REGISTER_REQUESTED and subject.get("node") == node
