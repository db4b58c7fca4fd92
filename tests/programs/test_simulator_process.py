"""The simulator as people run it, against a real registry and a real Redis, in compressed time."""

from __future__ import annotations

import signal
import subprocess

import pytest

from exporter.programs.simulator import main
from exporter.programs.simulator.population import populate
from tests.support.redis_server import RedisServer
from tests.support.registry_process import RegistryProcess, clean_env, program, run_program
from tests.support.server_process import until

QUICK = {"thresholds": {"heartbeat_interval": "300ms", "warning_after": "2s", "offline_after": "30s"}}
MESH = populate(24, 3, 1)
LAB = {member.name for member in MESH if member.site.name == "lab"}
FLAGS = ("--nodes=24", "--heartbeat-interval=300ms")


@pytest.fixture
def stack(tmp_path):
    """A registry with a bus, and its Redis."""
    with RedisServer() as redis, RegistryProcess(tmp_path, event_bus=redis.url, settings=QUICK) as registry:
        yield registry, redis


@pytest.fixture
def simulate(stack, tmp_path):
    """Starts the simulator with a script; it is ended by its process id."""
    registry, redis = stack
    running = []

    def do(script="[]", *flags):
        path = tmp_path / "script.yaml"
        path.write_text(script)
        command = [*program("simulator"), f"--registry={registry.url}", f"--event-bus={redis.url}", *FLAGS]
        process = subprocess.Popen(
            [*map(str, command), f"--incidents={path}", *flags],
            env=clean_env(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield do
    for process in running:
        with process:
            process.kill()


@pytest.mark.servers
def test_what_happens_to_the_mesh_shows_at_the_registry(stack, simulate):
    registry, _ = stack
    lost = next(member for member in MESH if member.gpus == 2 and member.name not in LAB)
    sleeper = next(member for member in MESH if member.role == "edge")
    process = simulate(
        "- {kind: site_fails, at: 1s, site: lab}\n"
        f"- {{kind: gpu_lost, at: 1s, nodes: [{lost.name}], gpu: 1}}\n"
        f"- {{kind: node_sleeps, at: 1s, nodes: [{sleeper.name}]}}\n"
        "- {kind: heartbeats_lost, at: 0s, nodes: [aurora], loss: 0.4}\n"
        "- {kind: garbage_on_bus, at: 0s, per_minute: 600}\n"
    )
    expected = {member.name: "warning" if member.name in LAB else "active" for member in MESH}
    until(
        lambda: {name: status for name, status in registry.statuses().items() if name != sleeper.name},
        {name: status for name, status in expected.items() if name != sleeper.name},
    )

    until(lambda: registry.nodes()[sleeper.name]["lifecycle"], "maintenance")
    until(lambda: registry.metric(f'aurora_node_gpus_observed{{node="{lost.name}"}}'), 1)
    until(lambda: registry.metric('aurora_node_heartbeats_missed_total{node="aurora"}') > 0, expected=True)
    until(lambda: registry.metric('aurora_registry_events_rejected_total{reason="not_json"}') > 0, expected=True)
    assert {document["transport"] for document in registry.nodes().values()} == {"http", "bus"}
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert f"      1s  begins  site_fails       lab ({len(LAB)} nodes)" in out.splitlines()


@pytest.mark.servers
def test_it_ends_by_itself_and_nothing_stays_behind(stack, simulate):
    """What people set is taken back at an incident's end, a name stays with its owner, and all leave at the last."""
    registry, _ = stack
    process = simulate(
        "- {kind: maintenance, at: 0s, for: 1m, nodes: [desk-vera], reason: fans}\n"
        "- {kind: name_conflict, at: 0s, for: 1m, nodes: [desk-amal]}\n"
        "- {kind: node_leaves, at: 0s, for: 1m, nodes: [laptop-01]}\n",
        "--speed=20",
        "--heartbeat-interval=6s",
        "--duration=2m",
        "--leave-on-stop",
    )
    until(lambda: registry.nodes().get("desk-vera", {}).get("lifecycle_reason"), "fans")
    until(lambda: "laptop-01" in registry.nodes(), expected=False)
    until(lambda: registry.metric('aurora_node_name_conflicts_total{node="desk-amal"}') > 0, expected=True)
    until(lambda: "laptop-01" in registry.nodes(), expected=True)
    until(lambda: registry.nodes().get("desk-vera", {}).get("lifecycle"), "in_service")

    out, _ = process.communicate(timeout=30)
    assert (process.returncode, len(out.splitlines())) == (0, 6)
    assert registry.nodes() == {}


def test_a_script_that_names_nobody_is_refused(tmp_path, capsys):
    path = tmp_path / "script.yaml"
    path.write_text("- {kind: node_dies, at: 1m, nodes: [desk-verra]}\n- {kind: garbage_on_bus, at: 1m}")

    assert main(["--incidents", str(path)]) == 1
    assert "  [0].nodes[0]: no node of this mesh is 'desk-verra'; did you mean desk-vera?" in capsys.readouterr().err


def test_an_interrupt_ends_it_while_the_registry_is_away():
    process = subprocess.Popen(
        [*map(str, program("simulator")), "--registry=http://127.0.0.1:9"],
        env=clean_env(),
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stderr is not None
        assert "request failed" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def test_help_has_examples_and_fits_80_columns(tmp_path):
    answer = run_program([*program("simulator"), "--help"], tmp_path, clean_env(COLUMNS="80"))

    assert (answer.returncode, answer.stderr) == (0, "")
    assert "\nexamples:\n  aurora-simulator\n" in answer.stdout
    assert max(map(len, answer.stdout.splitlines())) < 80


def test_the_bus_needs_an_address(tmp_path):
    answer = run_program([*program("simulator"), "--transport=bus"], tmp_path)

    assert answer.returncode == 2
    assert "--transport bus needs --event-bus" in answer.stderr
