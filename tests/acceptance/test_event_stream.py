"""The event stream of real registries, over real sockets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import pytest

from exporter.client.client import Client
from exporter.client.events import Event
from tests.support.redis_server import RedisServer
from tests.support.registry_process import RegistryProcess
from tests.support.server_process import until

QUICK = {"thresholds": {"warning_after": "1s", "offline_after": "2s", "heartbeat_interval": "300ms"}}
pytestmark = pytest.mark.servers
NewRegistry = Callable[..., RegistryProcess]


class Following:
    """Follows one registry's events in a thread of its own, until that ends the stream."""

    def __init__(self, registry: RegistryProcess, last_id: str = "") -> None:
        self.events: list[Event] = []
        self._client = Client(registry.url)
        self._last_id = last_id
        self.thread = threading.Thread(target=self._follow, daemon=True)
        self.thread.start()

    def _follow(self) -> None:
        for event in self._client.events(self._last_id, retry=False):
            # Who changed what is sent beside what happened, by the registry that was asked.
            if event.type != "audit":
                self.events.append(event)

    def about(self, node: str) -> list[str]:
        return [
            f"{event.data['from']} {event.data['to']}" if "from" in event.data else event.type
            for event in list(self.events)
            if event.data.get("node") == node
        ]


@contextmanager
def unread(registry: RegistryProcess) -> Iterator[socket.socket]:
    """A stream that nobody reads."""
    with socket.create_connection(("127.0.0.1", registry.port)) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        connection.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        yield connection


def streams(registry: RegistryProcess) -> float:
    return registry.metric("aurora_registry_event_streams")


def test_open_streams_end_with_the_registry_and_do_not_hold_it_up(new_registry: NewRegistry) -> None:
    registry = new_registry().start()
    readers = [Following(registry) for _ in range(20)]
    with ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(unread(registry))
        until(lambda: streams(registry), 25)

        assert registry.stop() == 0

        # What uvicorn says when it had to cut connections because its grace was over.
        assert "graceful shutdown exceeded" not in registry.log
        for reader in readers:
            reader.thread.join(10)
            assert [event.type for event in reader.events] == ["stream_end"]


def test_a_reader_that_takes_nothing_is_cut_while_others_go_on(new_registry: NewRegistry) -> None:
    registry = new_registry().start()
    with unread(registry):
        reader = Following(registry)
        until(lambda: streams(registry), 2)
        capabilities = {"notes": "x" * 60_000}
        sent = 0
        while registry.metric("aurora_registry_event_streams_dropped_total") < 1:
            sent += 1
            registry.register(name=f"node-{sent}", capabilities=capabilities)
            assert sent < 3000

        until(lambda: len(reader.events), sent)
        assert streams(registry) == 1


def test_each_event_comes_once_whichever_registry_is_followed(new_registry: NewRegistry) -> None:
    with RedisServer() as server:
        settings = {**QUICK}
        one, other = (new_registry(store=server.url, settings=settings).start() for _ in range(2))
        followers = [Following(one), Following(other)]
        until(lambda: (streams(one), streams(other)), (1, 1))

        one.register(name="vengeance", role="compute")
        expected = ["node_registered", "active warning", "warning offline"]
        for follower in followers:
            until(partial(follower.about, "vengeance"), expected)
        other.ask("PUT", "/nodes/vengeance/maintenance", json={"reason": "fans"})
        one.ask("DELETE", "/nodes/vengeance/maintenance")
        expected += ["node_lifecycle_changed"] * 2
        for follower in followers:
            until(partial(follower.about, "vengeance"), expected)
        one.ask("DELETE", "/nodes/vengeance")

        for follower in followers:
            until(partial(follower.about, "vengeance"), [*expected, "node_deregistered"])


def test_a_reader_moves_to_another_registry_and_misses_nothing(new_registry: NewRegistry) -> None:
    with RedisServer() as server:
        one, other = (new_registry(store=server.url).start() for _ in range(2))
        first = Following(one)
        until(lambda: streams(one), 1)
        one.register(name="vengeance")
        until(lambda: first.about("vengeance"), ["node_registered"])
        one.stop()
        other.register(name="serenity")
        other.ask("DELETE", "/nodes/vengeance")

        second = Following(other, first.events[0].id)

        until(lambda: second.about("serenity"), ["node_registered"])
        until(lambda: "node_deregistered" in second.about("vengeance"), expected=True)
