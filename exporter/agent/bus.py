"""The event bus: each message is an event that is published on a Redis channel. It needs the package redis."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from exporter.agent.checks import shown
from exporter.agent.exits import UsageError
from exporter.agent.replies import OK, Reply
from exporter.domain.eventnames import DEREGISTER, HEARTBEAT, REGISTER, REGISTER_REQUESTED
from exporter.domain.requestoutcome import Outcome
from exporter.domain.signing import signed_event

TIMEOUT = 5.0
KINDS = ("redis", "rediss", "unix", "redis+sentinel", "redis+cluster")
EXPECTED = (
    "expected redis://host:6379, rediss://..., redis+sentinel://host:26379,host:26379/service or "
    "redis+cluster://host:6379,host:6379"
)
REDIS_PORT, SENTINEL_PORT = 6379, 26379
RETRY, PATIENCE = 5.0, 15.0


class BusRegistry:
    """Publishes events. OK means that somebody listens on the channel; a refusal is seen in the registry's log alone.

    Raises UsageError for an invalid URL, and where the package redis is not installed.
    """

    def __init__(self, url: str, channel: str, *, token: Callable[[], str] = str) -> None:
        """`token` gives what events are signed with; they are not, where it is empty."""
        self._scheme, self._hosts, path = _split(url)
        self._url = url
        self._service = path
        self._channel = channel
        self._token = token
        self._signed_ms = 0
        self.endpoint = f"{self._scheme}://{self._hosts}{path} {channel}"
        """The Redis, without user and password, and the channel."""
        self.timeout = TIMEOUT
        self.answers = False
        self._redis = _client_library()
        self._listening = False
        self._client: Any = None
        if "cluster" in self._scheme:
            return  # its client asks the nodes as soon as it is made, and they may not be there yet
        try:
            self._client = self._connect()
        except (ValueError, self._redis.RedisError) as error:
            raise UsageError(f"--event-bus (AURORA_EVENT_BUS): {EXPECTED}: {error}") from None

    def register(self, registration: Mapping[str, Any]) -> Reply:
        """Publish `node_register`."""
        return self._publish(REGISTER, registration.get("name"), registration)

    def heartbeat(self, node: str, report: Mapping[str, Any]) -> Reply:
        """Publish `node_heartbeat`."""
        return self._publish(HEARTBEAT, node, {"node": node, **report})

    def leave(self, node: str) -> Reply:
        """Publish `node_deregister`."""
        return self._publish(DEREGISTER, node, {"node": node})

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
        subscription = self._connect(listening=True).pubsub(ignore_subscribe_messages=True)
        subscription.subscribe(self._channel)
        self._listening = True
        while True:
            message = subscription.get_message(timeout=PATIENCE)
            data = message.get("data") if message else None
            # The channel carries everybody's heartbeats: few of them are worth a look.
            if isinstance(data, bytes) and REGISTER_REQUESTED.encode() in data and _asks(data, node):
                requested()

    def _publish(self, event: str, node: object, data: Mapping[str, Any]) -> Reply:
        try:
            self._client = self._client or self._connect()
            listeners = self._client.publish(self._channel, self._payload(event, node, data))
        except Exception as error:  # noqa: BLE001 - not all that the library raises is of its own kinds
            return Reply(Outcome.UNREACHABLE, f"{self.endpoint}: {error}")
        # We listen ourselves, for what registries ask of us.
        if listeners <= int(self._listening) and "cluster" not in self._scheme:
            return Reply(
                Outcome.UNAVAILABLE,
                f"nobody listens on {shown(self._channel)} of {self._scheme}://{self._hosts}: "
                "is aurora-registry running with --event-bus, on this Redis and channel?",
            )
        return OK

    def _payload(self, event: str, node: object, data: Mapping[str, Any]) -> bytes:
        token = self._token()
        if not token:
            return json.dumps({"type": event, "source_node": node, "data": data}, allow_nan=False).encode()
        # Each later than the one before, whatever the clock does: a repeated event is recognized by that.
        self._signed_ms = max(self._signed_ms + 1, time.time_ns() // 1_000_000)
        return signed_event(token, event, str(node), data, self._signed_ms)

    def _connect(self, *, listening: bool = False) -> Any:
        redis = self._redis
        options: dict[str, Any] = {"socket_connect_timeout": TIMEOUT, "socket_timeout": None if listening else TIMEOUT}
        if listening:
            options["health_check_interval"] = PATIENCE
        if self._scheme in {"redis", "rediss", "unix"}:
            return redis.Redis.from_url(self._url, **options)
        login = unquote(urlsplit(self._url).netloc.rpartition("@")[0])
        username, _, password = login.rpartition(":")
        options.update(username=username or None, password=password or None)
        port = SENTINEL_PORT if self._scheme == "redis+sentinel" else REDIS_PORT
        hosts = [_host_port(host, port) for host in self._hosts.split(",")]
        if self._scheme == "redis+sentinel":
            service, _, database = self._service.strip("/").partition("/")
            sentinel = redis.Sentinel(hosts, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT)
            return sentinel.master_for(service or "mymaster", db=int(database or 0), **options)
        nodes = [redis.cluster.ClusterNode(host, port) for host, port in hosts]
        return redis.RedisCluster(startup_nodes=nodes, **options)


def _client_library() -> Any:
    if sys.flags.no_site:
        # As an installed agent is started; this is the one thing that it takes from the machine.
        import site  # noqa: PLC0415 - as above

        site.main()
    try:
        import redis  # noqa: PLC0415 - only where a bus is asked for
    except ImportError:
        raise UsageError(
            "--event-bus (AURORA_EVENT_BUS): it needs the Python package redis (apt-get install python3-redis, "
            "or pip install redis); without it, heartbeats go over HTTP with --registry"
        ) from None
    return redis


def _split(url: str) -> tuple[str, str, str]:
    scheme, separator, rest = url.partition("://")
    if scheme not in KINDS or not separator or not rest:
        # The value is not repeated: it may hold a password.
        raise UsageError(f"--event-bus (AURORA_EVENT_BUS): {EXPECTED}")
    hosts, slash, path = rest.rpartition("@")[2].partition("?")[0].partition("/")
    return scheme, hosts, slash + path


def _host_port(text: str, port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    return parts.hostname or "127.0.0.1", parts.port or port


def _asks(data: bytes, node: str) -> bool:
    event = json.loads(data)
    requested = isinstance(event, dict) and event.get("type") == REGISTER_REQUESTED
    return requested and event.get("data", {}).get("node") == node
