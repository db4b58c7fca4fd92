"""The public client, against a registry that runs."""

from __future__ import annotations

import pytest

from demo.ports import free_port
from exporter.client import Client, ClientError, NotARegistry, Refused, Unreachable

pytestmark = pytest.mark.servers


@pytest.fixture
def client(registry):
    """A client of the registry."""
    with Client(f"127.0.0.1:{registry.port}") as found:
        yield found


def test_a_nodes_life(client):
    """Register, heartbeat, drain, maintenance, deregister; each answer has its type."""
    welcome = client.register({"name": "life", "role": "gpu", "capabilities": {"gpu": True}, "metadata": {"site": "x"}})
    assert (welcome.name, welcome.status, welcome.heartbeat_interval_seconds) == ("life", "active", 30)
    assert client.heartbeat("life", {"status": "active"}) == []
    assert [fault.field for fault in client.heartbeat("life", {"gpus": [{"index": 0, "utilization": 7}]})] != []
    assert client.drain("life", until="1h", reason="moving").lifecycle == "draining"
    assert client.end_drain("life").lifecycle == "in_service"
    assert client.maintenance("life").lifecycle == "maintenance"
    assert client.end_maintenance("life").lifecycle == "in_service"
    assert client.node("life").gpu_label == "1x GPU"
    assert client.why("life").status == "active"
    assert client.transitions("life") == []
    assert "life" in client.nodes(role="gpu", gpu=True, status="active", site=None)
    client.deregister("life")
    with pytest.raises(Refused) as refused:
        client.node("life")
    assert (refused.value.status, refused.value.unknown_node) == (404, True)


def test_the_mesh(client):
    client.register({"name": "lead", "role": "lead"})
    client.register({"name": "worker", "capabilities": {"gpu": True, "gpu_memory": 24}})
    assert client.stats().total_vram_gb >= 24
    assert {"lead", "worker"} <= {vertex.id for vertex in client.topology().nodes}
    assert client.recent("1h").complete


def test_pages_are_read_to_the_end(client):
    for number in range(5):
        client.register({"name": f"page-{number}", "role": "paged"})
    pages = list(client.pages(role="paged", limit=2))
    assert [len(page.nodes) for _, page in pages] == [2, 2, 1]


def test_a_refusal_names_the_fields(client):
    with pytest.raises(Refused) as refused:
        client.register({"name": "x", "vpn_ip": "home"})
    assert (refused.value.status, [fault.field for fault in refused.value.problem.errors]) == (400, ["vpn_ip"])


def test_nobody_there():
    with pytest.raises(Unreachable, match="connection refused"):
        Client(f"127.0.0.1:{free_port()}").stats()


def test_no_registry_there(registry):
    """Another path of the same server answers, but not as a registry does."""
    with Client(registry.url) as client, pytest.raises(NotARegistry, match="does not answer as a registry"):
        client.get("/health").of(list)
    assert issubclass(NotARegistry, ClientError)
