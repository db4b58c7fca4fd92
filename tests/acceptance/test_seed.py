"""The mesh that the product was made for: its requests, its events, its programs, and what each of them must see."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import requests

from tests.support.redis_server import RedisServer
from tests.support.registry_process import RegistryProcess, clean_env, program, run_program
from tests.support.seed_mesh import CHANNEL, REGISTRATIONS, Heartbeats, heartbeat_event, over_bus
from tests.support.server_process import until

pytestmark = pytest.mark.servers

PROGRAMS = Path(__file__).with_name("programs")
ADDRESSES = ("http://10.0.0.1:9999", "http://node-registry:9999")
LIVING = ("aurora", "runpod-tx", "vengeance")
GIB = 2**30


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    """The seed's mesh on Redis, as store and as bus; robbiebook1 went missing, and stays in warning."""
    directory = tmp_path_factory.mktemp("seed")
    settings = {"thresholds": {"warning_after": "3s", "offline_after": "1h"}}
    with (
        RedisServer() as server,
        redis.Redis.from_url(server.url) as bus,
        RegistryProcess(directory, store=server.url, event_bus=server.url, settings=settings) as registry,
    ):
        for name, registration in REGISTRATIONS.items():
            if name == "vengeance":
                assert run("bootstrap.py", registry, directory) == ""
            else:
                assert registry.register(**registration) == 201
        # What the GPUs report decides where a job fits.
        readings = [{"index": 0, "memory_used_bytes": 20 * GIB}, {"index": 1, "memory_used_bytes": 10 * GIB}]
        with Heartbeats(over_bus(bus, {"runpod-tx": readings}), LIVING):
            until(lambda: registry.statuses()["robbiebook1"], "warning")
            until(lambda: len(registry.nodes()["runpod-tx"].get("gpus", [])), 2)
            yield registry


def run(name: str, registry: RegistryProcess, directory: Path) -> str:
    """The output of a program of the seed's, run as it stands but for the registry's address."""
    text = (PROGRAMS / name).read_text()
    for address in ADDRESSES:
        text = text.replace(address, registry.url)
    script = directory / name
    if script.suffix == ".js":
        script.write_text((PROGRAMS / "environment.js").read_text() + text)
        command: list[str | Path] = ["node", script]
    else:
        script.write_text(text)
        command = [sys.executable, script]
    done = run_program(command, directory)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_nodes_carry_the_keys_and_values_of_the_seed(registry):
    """GET /nodes: every node in order of registration, and the totals."""
    answer = registry.get("/nodes").json()
    assert list(answer) == ["nodes", "total", "active", "timestamp"]
    assert (answer["total"], answer["active"]) == (4, 3)
    assert list(answer["nodes"]) == ["aurora", "runpod-tx", "vengeance", "robbiebook1"]
    for name, document in answer["nodes"].items():
        expected = {"capabilities": {}, **REGISTRATIONS[name]}
        if expected["public_ip"] == "dynamic":
            del expected["public_ip"]
        expected.pop("metadata", None)
        expected["status"] = "warning" if name == "robbiebook1" else "active"
        times = {key: document[key] for key in ("last_seen", "registered_at")}
        ours = ("metadata", "lifecycle", "transport", "gpus")
        assert {key: value for key, value in document.items() if key not in ours} == expected | times
        assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", time) for time in times.values())


def test_one_node_has_a_document_of_its_own(registry):
    """GET /nodes/{name}: the same document as in the list."""
    document = registry.get("/nodes/vengeance").json()
    assert document["metadata"] == {"os": "ubuntu", "docker_version": "24.0.7"}
    assert (document["transport"], document["lifecycle"]) == ("bus", "in_service")
    assert set(document) == set(registry.nodes()["vengeance"])
    assert registry.get("/nodes/nobody").status_code == 404


def test_topology_has_the_connections_of_the_seed(registry):
    """GET /topology: the lead reaches everybody twice, GPU nodes reach the lead."""
    answer = registry.get("/topology").json()
    assert list(answer) == ["nodes", "connections", "timestamp"]
    statuses = registry.statuses()
    assert answer["nodes"] == [
        {
            "id": name,
            "label": name,
            "role": registration["role"],
            "status": statuses[name],
            "vpn_ip": registration["vpn_ip"],
            "capabilities": registration.get("capabilities", {}),
        }
        for name, registration in REGISTRATIONS.items()
    ]
    others = ["runpod-tx", "vengeance", "robbiebook1"]
    assert answer["connections"] == [
        *({"source": "aurora", "target": name, "type": "vpn_mesh"} for name in others),
        *({"source": "aurora", "target": name, "type": "db_replication"} for name in others),
        {"source": "runpod-tx", "target": "aurora", "type": "gpu_mesh"},
        {"source": "vengeance", "target": "aurora", "type": "gpu_mesh"},
    ]


def test_stats_add_the_mesh_up(registry):
    """GET /stats: nodes, roles, GPUs and VRAM."""
    stats = registry.get("/stats").json()
    stats.pop("timestamp")
    assert stats == {
        "total_nodes": 4,
        "active_nodes": 3,
        "warning_nodes": 1,
        "offline_nodes": 0,
        "nodes_by_role": {"lead": 1, "compute": 3},
        "total_gpus": 3,
        "total_vram_gb": 72,
        "active_gpus": 3,
        "active_vram_gb": 72,
    }


@pytest.mark.parametrize(
    ("name", "output"),
    [
        ("auto_discovery.py", "Found 2 GPU nodes\n"),
        ("health_monitoring.py", "⚠️ robbiebook1 is warning\n"),
        ("capacity_planning.py", ""),
        ("gpu_mesh_coordinator.py", "runpod-tx: 2 x RTX 4090\nvengeance: 1 x RTX 4090\n"),
        ("load_balancer.py", "http://10.0.0.1:8000\nhttp://10.0.0.3:8000\nhttp://10.0.0.4:8000\n"),
    ],
)
def test_program_runs_as_it_stands(registry, tmp_path, name, output):
    """Each Python program of the seed's does what it was written for."""
    assert run(name, registry, tmp_path) == output


def test_capacity_planning_warns_of_a_small_mesh(new_registry, tmp_path):
    """With 24 GB in all, the same program says so."""
    registry = new_registry().start()
    assert registry.register(**REGISTRATIONS["vengeance"]) == 201
    assert run("capacity_planning.py", registry, tmp_path) == "⚠️ Low GPU capacity - consider adding nodes\n"


@pytest.fixture
def node_js() -> None:
    """Node runs the programs that are made for a browser."""
    if shutil.which("node") is None:
        assert not os.environ.get("CI"), "node is missing: install it, or run without CI=true"
        pytest.skip("node is not installed")


@pytest.mark.usefixtures("node_js")
def test_status_page_program_runs_as_it_stands(registry, tmp_path):
    """The web page's program lists every node with its class, and the GPU of those that have one."""
    page = run("status_page.js", registry, tmp_path)
    assert re.findall(r'<div class="node (\w+)">\s*<h3>(.*)</h3>', page) == [
        ("active", "aurora"),
        ("active", "runpod-tx"),
        ("active", "vengeance"),
        ("warning", "robbiebook1"),
    ]
    assert re.findall(r"<p>IP: (.*)</p>", page) == ["10.0.0.1", "10.0.0.3", "10.0.0.4", "10.0.0.5"]
    assert re.findall(r"<p>GPU: (.*)</p>", page) == ["RTX 4090", "RTX 4090"]


@pytest.mark.usefixtures("node_js")
def test_topology_program_runs_as_it_stands(registry, tmp_path):
    """The network map's program gets what it needs to draw: nodes, and connections between them."""
    graph = json.loads(run("topology.js", registry, tmp_path))
    assert [node["id"] for node in graph["nodes"]] == list(REGISTRATIONS)
    assert len(graph["connections"]) == 8


def test_web_pages_of_any_origin_may_read(registry):
    """A browser lets the page's program see the answer."""
    answer = registry.get("/nodes", headers={"Origin": "http://status.example"})
    assert answer.headers["Access-Control-Allow-Origin"] in {"*", "http://status.example"}


def test_balancer_asks_where_a_job_fits(registry):
    """A job that needs 24 GB goes to where so much is free now: most free first, whatever a node has in all."""
    query = "/nodes?status=active&min_free_vram_gb={}&sort=free_vram"
    assert list(registry.get(query.format(1)).json()["nodes"]) == ["vengeance", "runpod-tx"]
    fitting = registry.get(query.format(24)).json()
    assert (list(fitting["nodes"]), fitting["total"]) == (["vengeance"], 1)
    assert fitting["nodes"]["vengeance"]["vpn_ip"] == "10.0.0.4"


def test_cli_prints_the_table_of_the_seed(registry, tmp_path):
    """`aurora-cli nodes`: the seed's table, to the letter."""
    done = run_program([*program("cli"), "nodes"], tmp_path, clean_env(AURORA_REGISTRY=registry.url))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "NAME          ROLE     STATUS   IP          GPU\n"
        "aurora        lead     active   10.0.0.1    -\n"
        "runpod-tx     compute  active   10.0.0.3    2x RTX 4090\n"
        "vengeance     compute  active   10.0.0.4    1x RTX 4090\n"
        "robbiebook1   compute  warning  10.0.0.5    -\n"
    )


def test_nodes_appear_and_leave_by_the_bus_alone(new_registry, redis_server):
    """An empty registry learns of a node by its heartbeat, registration or departure on the channel."""
    registry = new_registry(event_bus=redis_server.url).start()
    until(lambda: registry.get("/health").json()["event_bus"], "up")
    assert (registry.get("/health").json()["status"], registry.get("/nodes").json()["total"]) == ("ok", 0)
    with redis.Redis.from_url(redis_server.url) as bus:
        bus.publish(CHANNEL, heartbeat_event("newcomer", role="gateway"))
        bus.publish(
            CHANNEL,
            json.dumps({"type": "node_register", "source_node": "vengeance", "data": REGISTRATIONS["vengeance"]}),
        )
        until(
            lambda: {name: node["role"] for name, node in registry.nodes().items()},
            {"newcomer": "gateway", "vengeance": "compute"},
        )
        bus.publish(CHANNEL, json.dumps({"type": "node_deregister", "data": {"node": "newcomer"}}))
        until(lambda: list(registry.nodes()), ["vengeance"])


def test_health_answers_for_curl(registry):
    """The seed's check after deployment: GET /health."""
    health = requests.get(f"{registry.url}/health", timeout=10).json()
    assert {key: health[key] for key in ("status", "store", "event_bus", "nodes")} == {
        "status": "ok",
        "store": "up",
        "event_bus": "up",
        "nodes": 4,
    }
