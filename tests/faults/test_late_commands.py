"""A registry is stopped (SIGSTOP): what waits on the bus meanwhile undoes nothing that another acknowledged since."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis

from tests.conftest import Measured
from tests.support.redis_server import RedisServer
from tests.support.registry_process import RegistryProcess
from tests.support.seed_mesh import CHANNEL
from tests.support.server_process import until

pytestmark = pytest.mark.servers

PATIENT = {"thresholds": {"warning_after": "2s", "offline_after": "60s", "heartbeat_interval": "500ms"}}
READ = 'aurora_registry_events_rejected_total{reason="not_json"}'


def test_what_waited_through_a_stop_yields_to_what_was_written_since(
    new_registry: Callable[..., RegistryProcess], redis_server: RedisServer, measured: Measured
) -> None:
    """A departure, a registration, and a registration of a node that left since; what nobody contradicted counts."""
    first, stopped = (
        new_registry(store=redis_server.url, event_bus=redis_server.url, settings=PATIENT).start() for _ in range(2)
    )
    names = {"returns", "changes", "leaves", "departs"}
    for name in names:
        assert first.register(name=name) == 201
    until(lambda: set(stopped.nodes()), names)
    until(lambda: stopped.metric("aurora_registry_event_bus_up"), 1.0)

    with redis.Redis.from_url(redis_server.url) as bus:

        def publish(kind: str, **data: Any) -> None:
            bus.publish(CHANNEL, json.dumps({"type": kind, "source_node": "x", "data": data}))

        # What the other one reads of it at once is undone over HTTP. A stop that is no outage to its nodes.
        stopped.signal(signal.SIGSTOP)
        publish("node_deregister", node="returns")
        publish("node_deregister", node="departs")
        publish("node_register", name="changes", role="storage")
        publish("node_register", name="leaves", role="storage")
        until(lambda: roles(first), {"changes": "storage", "leaves": "storage"})
        assert first.register(name="returns", role="gateway") == 201
        assert first.register(name="changes", role="gateway") == 200
        assert first.ask("DELETE", "/nodes/leaves").status_code == 204
        # Longer than a tenth of `warning_after`; where the machine makes much more of it, the store is given up too.
        time.sleep(0.3)
        bus.publish(CHANNEL, b"read after all that waited")
        stopped.signal(signal.SIGCONT)
        until(lambda: stopped.metric(READ), 1.0)
        # A change that takes the whole way.
        until(lambda: stopped.register(name="last", role="gateway"), 201)
        expected = dict.fromkeys(("returns", "changes", "last"), "gateway")
        with measured("back"):
            until(lambda: [roles(each) for each in (first, stopped)], [expected, expected])

        # It is asked to register again, once it sends a heartbeat.
        with bus.pubsub() as listener:
            listener.subscribe(CHANNEL)
            publish("node_heartbeat", node="changes")
            until(lambda: asked(listener), "changes")


def roles(registry: RegistryProcess) -> dict[str, str]:
    """Each node's role."""
    return {name: node["role"] for name, node in registry.nodes().items()}


def asked(listener: Any) -> str | None:
    """The node that was asked just now."""
    message = listener.get_message(ignore_subscribe_messages=True)
    event = json.loads(message["data"]) if message else {}
    return event["data"]["node"] if event.get("type") == "node_register_requested" else None
