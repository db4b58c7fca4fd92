"""The registry, Redis and the network go away in turn, and come back: nothing needs a hand."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.agent.conftest import Agents
from tests.support.proxy_thread import ProxyThread
from tests.support.redis_server import RedisServer
from tests.support.registry_process import RegistryProcess
from tests.support.server_process import until

pytestmark = pytest.mark.servers
SETTINGS = {"thresholds": {"heartbeat_interval": "200ms", "warning_after": "2s", "offline_after": "4s"}}
CHANNEL = "aurora:events:global"
LOST, FOUND = "does not receive this node", "the registry receives this node again"


@contextlib.contextmanager
def alone() -> Iterator[tuple[RedisServer, str]]:
    """A Redis, and its URL."""
    with RedisServer() as server:
        yield server, server.url


@contextlib.contextmanager
def watched() -> Iterator[tuple[RedisServer, str]]:
    """A Redis that a Sentinel knows; a second Sentinel is gone."""
    with RedisServer() as server:
        sentinel = RedisServer(sentinel=True)
        (sentinel.directory / "redis.conf").write_text(f"sentinel monitor aurora 127.0.0.1 {server.port} 1\n")
        try:
            sentinel.start()
            yield server, f"redis+sentinel://127.0.0.1:1,127.0.0.1:{sentinel.port}/aurora"
        finally:
            sentinel.close()


@contextlib.contextmanager
def clustered() -> Iterator[tuple[RedisServer, str]]:
    """A Cluster of one node; another that is named is gone."""
    with RedisServer("--cluster-enabled", "yes", "--cluster-require-full-coverage", "no") as server:
        server.cli("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        until(lambda: "cluster_state:ok" in server.cli("CLUSTER", "INFO"), expected=True)
        yield server, f"redis+cluster://127.0.0.1:1,127.0.0.1:{server.port}"


class Nodes:
    """Agents that take every way to one registry, each with a site that only a registration states."""

    def __init__(self, registry: RegistryProcess, agents: Agents) -> None:
        self.registry = registry
        self._agents = agents
        self.names: list[str] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        self._logs: list[Callable[[], str]] = []

    def start(self, name: str, *arguments: str) -> None:
        """Another one."""
        process, log = self._agents.start(f"--node-name={name}", f"--site={name}", *arguments)
        self.names.append(name)
        self._processes.append(process)
        self._logs.append(log)

    @property
    def whole(self) -> bool:
        """Whether each is active, with all that it was registered with."""
        nodes = self.registry.nodes()
        shown = [(node["status"], node["metadata"].get("site")) for _, node in sorted(nodes.items())]
        return shown == [("active", name) for name in sorted(self.names)]

    def said(self, text: str) -> bool:
        """Whether each says so."""
        return all(text in log() for log in self._logs)

    @property
    def received(self) -> bool:
        """Whether each knows that it is received again, after it was not."""
        return all(log().count(LOST) == log().count(FOUND) > 0 for log in self._logs)

    @property
    def running(self) -> bool:
        """Whether all still run, and none was surprised."""
        alive = [process.poll() for process in self._processes] == [None] * len(self._processes)
        return alive and not any("Traceback" in log() for log in self._logs)


@pytest.fixture
def nodes_of(tmp_path, agents):
    """Nodes of a registry on this bus."""
    with contextlib.ExitStack() as stack:

        def do(bus: str) -> Nodes:
            registry = RegistryProcess(tmp_path / "registry", event_bus=bus, settings=SETTINGS)
            return Nodes(stack.enter_context(registry), agents)

        yield do


@pytest.mark.parametrize("kind", [alone, watched, clustered], ids=["redis", "sentinel", "cluster"])
def test_a_registry_and_a_redis_that_were_away_are_found_again(nodes_of, kind):
    """The registry forgot everything; what the nodes are is registered again, over whichever way."""
    with kind() as (redis, url):
        nodes = nodes_of(url)
        nodes.start("both", "--registry", nodes.registry.url, "--event-bus", url)
        nodes.start("bus", "--event-bus", url, "--heartbeat-interval=200ms")
        until(lambda: nodes.whole, expected=True)
        redis.kill()
        until(lambda: nodes.said(LOST), expected=True)
        redis.start()
        until(lambda: nodes.received and nodes.whole, expected=True)
        # Who may ask them to register, and they, follow the bus again: else it would be asked for a minute later.
        until(lambda: redis.cli("PUBSUB", "NUMSUB", CHANNEL), [CHANNEL, 3])
        nodes.registry.kill()
        nodes.start("http", "--registry", nodes.registry.url)
        nodes.registry.start()
        until(lambda: nodes.whole, expected=True)
        assert nodes.running


def test_a_bus_that_is_not_there_yet_is_waited_for(nodes_of):
    """The agent may start before its Redis, and before its Cluster."""
    with clustered() as (redis, url):
        nodes = nodes_of(url)
        redis.kill()
        nodes.start("bus", "--event-bus", url, "--heartbeat-interval=200ms")
        until(lambda: nodes.said(LOST), expected=True)
        redis.start()
        until(lambda: nodes.whole, expected=True)
        assert nodes.running


def test_a_network_that_swallowed_everything_is_back(nodes_of):
    """Neither side noticed: nodes go offline, and are active again."""
    with alone() as (redis, url), ProxyThread(redis.port) as far_redis:
        nodes = nodes_of(url)
        with ProxyThread(nodes.registry.port) as far_registry:
            http = ("--registry", f"http://127.0.0.1:{far_registry.port}")
            bus = ("--event-bus", f"redis://127.0.0.1:{far_redis.port}")
            nodes.start("http", *http)
            nodes.start("both", *http, *bus)
            nodes.start("bus", *bus, "--heartbeat-interval=200ms")
            until(lambda: nodes.whole, expected=True)
            far_registry.cut()
            far_redis.cut()
            offline = ["offline"] * 3
            until(lambda: [node["status"] for node in nodes.registry.nodes().values()], offline)
            until(lambda: nodes.said(LOST), expected=True)
            far_registry.heal()
            far_redis.heal()
            until(lambda: nodes.received and nodes.whole, expected=True)
            assert nodes.running


def test_a_node_that_reaches_only_the_bus_stays_active(nodes_of):
    """It registered over HTTP: that this way is cut keeps no heartbeat of the other back, nor a wish to register."""
    with alone() as (redis, url):
        nodes = nodes_of(url)
        with ProxyThread(nodes.registry.port) as far_registry:
            nodes.start("both", "--registry", f"http://127.0.0.1:{far_registry.port}", "--event-bus", url)
            until(lambda: nodes.whole, expected=True)
            far_registry.cut()
            request = '{"type": "node_register_requested", "source_node": "node-registry", "data": {"node": "both"}}'
            redis.cli("PUBLISH", CHANNEL, request)
            until(lambda: nodes.said("the registration cannot be renewed"), expected=True)
            sample = 'aurora_registry_heartbeats_total{transport="bus"}'
            goal = nodes.registry.metric(sample) + 20
            until(lambda: nodes.registry.metric(sample) >= goal, expected=True)
            until(lambda: nodes.whole, expected=True)
            assert nodes.running
