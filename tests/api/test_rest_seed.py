from __future__ import annotations

import asyncio

import aiohttp
import pytest
import requests

from exporter.api.app import create_app
from tests.api.conftest import VENGEANCE

AURORA = {"name": "aurora", "role": "lead", "vpn_ip": "10.0.0.1", "public_ip": "45.32.194.172"}


@pytest.fixture
def base(service, serve):
    return f"http://127.0.0.1:{serve(create_app(service))}"


@pytest.fixture
def registered(base):
    """The seed's lead, and the node that its bootstrap script registers."""
    for node in (AURORA, VENGEANCE):
        requests.post(f"{base}/nodes/register", json=node).raise_for_status()


@pytest.mark.usefixtures("registered")
def test_the_seeds_programs_run_as_they_are(base):
    """Auto-discovery, health monitoring and capacity planning, each as the seed has them."""
    nodes = requests.get(f"{base}/nodes").json()["nodes"]
    gpu_nodes = [
        node for node in nodes.values() if node.get("capabilities", {}).get("gpu") and node["status"] == "active"
    ]
    unhealthy = [name for name, info in nodes.items() if info["status"] != "active"]
    stats = requests.get(f"{base}/stats").json()

    assert [node["name"] for node in gpu_nodes] == ["vengeance"]
    assert unhealthy == []
    assert stats["total_vram_gb"] < 64
    assert requests.get(f"{base}/nodes/vengeance").json()["capabilities"] == VENGEANCE["capabilities"]
    assert requests.get(f"{base}/topology").json()["connections"] != []
    assert requests.get(f"{base}/health").json()["status"] == "ok"


@pytest.mark.usefixtures("registered")
def test_the_seeds_integrations_run_in_a_session(base):
    """The GPU mesh's discovery and the load balancer's backends."""

    async def fetch():
        async with aiohttp.ClientSession() as session, session.get(f"{base}/nodes") as response:
            return await response.json()

    nodes = asyncio.run(fetch())["nodes"]

    assert [name for name, info in nodes.items() if info.get("capabilities", {}).get("gpu")] == ["vengeance"]
    assert [f"http://{node['vpn_ip']}:8000" for node in nodes.values() if node["status"] == "active"] == [
        "http://10.0.0.1:8000",
        "http://10.0.0.4:8000",
    ]


@pytest.mark.usefixtures("registered")
def test_a_browser_of_another_origin_may_run_the_seeds_scripts(base):
    """The topology's React component and the status page fetch from wherever they are served."""
    for path in ("/topology", "/nodes"):
        answer = requests.get(f"{base}{path}", headers={"Origin": "http://dashboard.example"})
        assert answer.headers["access-control-allow-origin"] == "*"


def test_a_whole_life_on_one_connection(base):
    """A registration, its heartbeats, its list, its leave."""
    with requests.Session() as session:
        statuses = [
            session.post(f"{base}/nodes/register", json=VENGEANCE).status_code,
            session.post(f"{base}/nodes/vengeance/heartbeat").status_code,
            session.post(f"{base}/nodes/vengeance/heartbeat", json={"status": "active"}).status_code,
            session.get(f"{base}/nodes").status_code,
            session.head(f"{base}/nodes").status_code,
            session.delete(f"{base}/nodes/vengeance").status_code,
            session.get(f"{base}/nodes/vengeance").status_code,
        ]

    assert statuses == [201, 204, 204, 200, 200, 204, 404]
