"""The two formats, to the byte, and what is left out."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from demo.servers import newest
from exporter.domain.clock import HOUR
from exporter.domain.lifecycle import Lifecycle, Phase
from exporter.domain.topology import EdgeRule
from exporter.exposition.exposition import FAMILIES
from tests.exposition.rendered import Mesh

TABLE = {
    "aurora_node_info": ("info", "node role vpn_ip public_ip gpu_type os environment site"),
    "aurora_node_status": ("gauge", "node status"),
    "aurora_node_status_held": ("gauge", "node"),
    "aurora_node_gpus": ("gauge", "node"),
    "aurora_node_gpu_memory_bytes": ("gauge", "node"),
    "aurora_node_last_seen_timestamp_seconds": ("gauge", "node"),
    "aurora_node_last_seen_age_seconds": ("gauge", "node"),
    "aurora_node_registered_timestamp_seconds": ("gauge", "node"),
    "aurora_node_status_transitions_total": ("counter", "node status"),
    "aurora_node_lifecycle": ("gauge", "node lifecycle"),
    "aurora_node_lifecycle_until_timestamp_seconds": ("gauge", "node"),
    "aurora_node_disruption_start_timestamp_seconds": ("gauge", "node scope"),
    "aurora_node_renamed_info": ("info", "node to"),
    "aurora_node_clock_offset_seconds": ("gauge", "node"),
    "aurora_node_heartbeats_missed_total": ("counter", "node"),
    "aurora_node_name_conflicts_total": ("counter", "node"),
    "aurora_node_cost_usd_per_hour": ("gauge", "node"),
    "aurora_node_agent_info": ("info", "node agent version"),
    "aurora_node_gpus_observed": ("gauge", "node"),
    "aurora_node_gpu_utilization_ratio": ("gauge", "node gpu uuid"),
    "aurora_node_gpu_memory_used_bytes": ("gauge", "node gpu uuid"),
    "aurora_node_gpu_temperature_celsius": ("gauge", "node gpu uuid"),
    "aurora_node_gpu_power_watts": ("gauge", "node gpu uuid"),
    "aurora_node_gpu_xid_errors_total": ("counter", "node gpu uuid code"),
    "aurora_node_gpu_ecc_uncorrected_errors_total": ("counter", "node gpu uuid"),
    "aurora_node_gpu_remapped_rows": ("gauge", "node gpu uuid"),
    "aurora_node_gpu_remap_pending": ("gauge", "node gpu uuid"),
    "aurora_node_gpu_remap_failed": ("gauge", "node gpu uuid"),
    "aurora_node_gpu_retired_pages": ("gauge", "node gpu uuid"),
    "aurora_node_gpu_recovery_needed": ("gauge", "node gpu uuid"),
    "aurora_node_gpu_throttled": ("gauge", "node gpu uuid reason"),
    "aurora_node_gpu_pcie_degraded": ("gauge", "node gpu uuid"),
    "aurora_node_gpu_fan_ratio": ("gauge", "node gpu uuid"),
    "aurora_node_gpu_sm_clock_hertz": ("gauge", "node gpu uuid"),
    "aurora_node_gpu_memory_clock_hertz": ("gauge", "node gpu uuid"),
    "aurora_node_gpu_energy_joules_total": ("counter", "node gpu uuid"),
    "aurora_node_gpu_mig_enabled": ("gauge", "node gpu uuid"),
    "aurora_node_gpu_processes": ("gauge", "node gpu uuid"),
    "aurora_mesh_nodes": ("gauge", "role status"),
    "aurora_mesh_gpus": ("gauge", "status"),
    "aurora_mesh_gpu_memory_bytes": ("gauge", "status"),
    "aurora_site_nodes": ("gauge", "site status"),
    "aurora_site_disrupted": ("gauge", "site"),
    "aurora_site_disruption_start_timestamp_seconds": ("gauge", "site"),
    "aurora_mesh_disruption_start_timestamp_seconds": ("gauge", ""),
    "aurora_topology_edge_info": ("info", "source target type"),
    "aurora_topology_edges_omitted": ("gauge", ""),
}

WHOLE_TEXT = """\
# HELP aurora_node_info Facts that the node was registered with; always 1.
# TYPE aurora_node_info gauge
aurora_node_info{node="vengeance",role="lead",vpn_ip="10.8.0.1",public_ip="",gpu_type="RTX \\"4090\\"",os="C:\\\\",\
environment="production",site="home"} 1
# HELP aurora_node_status The node's status, from its heartbeat age: 1 for the current one, 0 for the others.
# TYPE aurora_node_status gauge
aurora_node_status{node="vengeance",status="active"} 1
aurora_node_status{node="vengeance",status="warning"} 0
aurora_node_status{node="vengeance",status="offline"} 0
# HELP aurora_node_status_held 1 while the node's status is frozen because the registry does not receive its heartbeats.
# TYPE aurora_node_status_held gauge
aurora_node_status_held{node="vengeance"} 0
# HELP aurora_node_gpus GPUs that the node is registered with.
# TYPE aurora_node_gpus gauge
aurora_node_gpus{node="vengeance"} 2
# HELP aurora_node_gpu_memory_bytes VRAM of all the node's GPUs together, as registered.
# TYPE aurora_node_gpu_memory_bytes gauge
aurora_node_gpu_memory_bytes{node="vengeance"} 51539607552
# HELP aurora_node_last_seen_timestamp_seconds Time of the node's last heartbeat, by the registry's clock.
# TYPE aurora_node_last_seen_timestamp_seconds gauge
aurora_node_last_seen_timestamp_seconds{node="vengeance"} 1759752001.500
# HELP aurora_node_last_seen_age_seconds Time since the node's last heartbeat, measured by a monotonic clock.
# TYPE aurora_node_last_seen_age_seconds gauge
aurora_node_last_seen_age_seconds{node="vengeance"} 0.250
# HELP aurora_node_registered_timestamp_seconds When the node was first registered.
# TYPE aurora_node_registered_timestamp_seconds gauge
aurora_node_registered_timestamp_seconds{node="vengeance"} 1759752000.000
# HELP aurora_node_status_transitions_total How often the node entered the status, since the registry started.
# TYPE aurora_node_status_transitions_total counter
aurora_node_status_transitions_total{node="vengeance",status="active"} 0
aurora_node_status_transitions_total{node="vengeance",status="warning"} 0
aurora_node_status_transitions_total{node="vengeance",status="offline"} 0
# HELP aurora_node_lifecycle The node's lifecycle, set by people: 1 for the current one, 0 for the others.
# TYPE aurora_node_lifecycle gauge
aurora_node_lifecycle{node="vengeance",lifecycle="in_service"} 0
aurora_node_lifecycle{node="vengeance",lifecycle="draining"} 1
aurora_node_lifecycle{node="vengeance",lifecycle="maintenance"} 0
# HELP aurora_node_lifecycle_until_timestamp_seconds When the node's draining or maintenance ends.
# TYPE aurora_node_lifecycle_until_timestamp_seconds gauge
aurora_node_lifecycle_until_timestamp_seconds{node="vengeance"} 1759755600.000
# HELP aurora_node_clock_offset_seconds The node's clock minus the registry's, at its latest heartbeat.
# TYPE aurora_node_clock_offset_seconds gauge
aurora_node_clock_offset_seconds{node="vengeance"} -2.500
# HELP aurora_node_heartbeats_missed_total Heartbeats that the node sent and that did not arrive, from gaps in \
their sequence numbers.
# TYPE aurora_node_heartbeats_missed_total counter
aurora_node_heartbeats_missed_total{node="vengeance"} 0
# HELP aurora_node_name_conflicts_total Claims of the node's name by another machine: refused registrations, and turns \
that two agents take under it.
# TYPE aurora_node_name_conflicts_total counter
aurora_node_name_conflicts_total{node="vengeance"} 1
# HELP aurora_node_cost_usd_per_hour What the node costs, as registered.
# TYPE aurora_node_cost_usd_per_hour gauge
aurora_node_cost_usd_per_hour{node="vengeance"} 1.25
# HELP aurora_node_gpus_observed GPUs that the node reports now; fewer than aurora_node_gpus: one is lost.
# TYPE aurora_node_gpus_observed gauge
aurora_node_gpus_observed{node="vengeance"} 1
# HELP aurora_node_gpu_utilization_ratio How busy the GPU is, from 0 to 1.
# TYPE aurora_node_gpu_utilization_ratio gauge
aurora_node_gpu_utilization_ratio{node="vengeance",gpu="0",uuid="GPU-1"} 0.875
# HELP aurora_node_gpu_memory_used_bytes VRAM in use on the GPU.
# TYPE aurora_node_gpu_memory_used_bytes gauge
aurora_node_gpu_memory_used_bytes{node="vengeance",gpu="0",uuid="GPU-1"} 1024
# HELP aurora_node_gpu_temperature_celsius Temperature of the GPU.
# TYPE aurora_node_gpu_temperature_celsius gauge
aurora_node_gpu_temperature_celsius{node="vengeance",gpu="0",uuid="GPU-1"} 61
# HELP aurora_mesh_nodes Registered nodes.
# TYPE aurora_mesh_nodes gauge
aurora_mesh_nodes{role="lead",status="active"} 1
aurora_mesh_nodes{role="lead",status="warning"} 0
aurora_mesh_nodes{role="lead",status="offline"} 0
# HELP aurora_mesh_gpus GPUs of registered nodes.
# TYPE aurora_mesh_gpus gauge
aurora_mesh_gpus{status="active"} 2
aurora_mesh_gpus{status="warning"} 0
aurora_mesh_gpus{status="offline"} 0
# HELP aurora_mesh_gpu_memory_bytes VRAM of registered nodes.
# TYPE aurora_mesh_gpu_memory_bytes gauge
aurora_mesh_gpu_memory_bytes{status="active"} 51539607552
aurora_mesh_gpu_memory_bytes{status="warning"} 0
aurora_mesh_gpu_memory_bytes{status="offline"} 0
# HELP aurora_site_nodes Registered nodes that name a site.
# TYPE aurora_site_nodes gauge
aurora_site_nodes{site="home",status="active"} 1
aurora_site_nodes{site="home",status="warning"} 0
aurora_site_nodes{site="home",status="offline"} 0
# HELP aurora_site_disrupted 1 while so many of the site's nodes are without heartbeats that it is one incident.
# TYPE aurora_site_disrupted gauge
aurora_site_disrupted{site="home"} 0
# HELP aurora_topology_edges_omitted Connections left out because there are more than the setting topology.max_edges.
# TYPE aurora_topology_edges_omitted gauge
aurora_topology_edges_omitted 0
"""


@pytest.fixture
def mesh() -> Mesh:
    """One node that has something of everything but a GPU's power and an edge."""
    mesh = Mesh()
    mesh.register(
        "vengeance",
        role="lead",
        vpn_ip="10.8.0.1",
        public_ip="dynamic",
        capabilities={"gpu": True, "gpu_count": 2, "gpu_type": 'RTX "4090"', "gpu_memory": 48},
        metadata={"os": "C:\\", "site": "home", "cost_per_hour": 1.25},
    )
    mesh.set_lifecycle("vengeance", Lifecycle(Phase.DRAINING, mesh.clock.wall_ns() + HOUR))
    mesh.node_map.note_conflict("vengeance")
    mesh.clock.advance(1.5)
    reading = {"index": 0, "uuid": "GPU-1", "utilization": 0.875, "memory_used_bytes": 1024, "temperature_celsius": 61}
    mesh.heartbeat("vengeance", sequence=4, timestamp=1_759_751_999, gpus=[reading])
    mesh.clock.advance(0.25)
    return mesh


def metadata_of(body: str) -> list[str]:
    return [line for line in body.splitlines() if line.startswith("#")]


def samples_of(body: str) -> list[str]:
    return [line for line in body.splitlines() if not line.startswith("#")]


def test_the_table_of_contents_is_the_contract() -> None:
    """Names, types and labels are what rules, dashboards and other services rely on."""
    assert {family.name: (family.type.value, " ".join(family.labels)) for family in FAMILIES} == TABLE


def test_the_text_format(mesh: Mesh) -> None:
    """Whole numbers without a fraction, times to the millisecond, quotes and backslashes escaped, no timestamps."""
    assert mesh.scrape() == WHOLE_TEXT


def test_openmetrics_differs_in_metadata_only(mesh: Mesh) -> None:
    """Infos and counters go without their suffix there, units are named, and an end is marked."""
    body = mesh.scrape(open_metrics=True)
    assert samples_of(body) == samples_of(WHOLE_TEXT)
    metadata = metadata_of(body)
    assert metadata[:2] == [
        "# HELP aurora_node Facts that the node was registered with; always 1.",
        "# TYPE aurora_node info",
    ]
    assert "# TYPE aurora_node_status_transitions counter" in metadata
    assert "# TYPE aurora_node_last_seen_age_seconds gauge" in metadata
    assert [line for line in metadata if line.startswith("# UNIT")] == [
        "# UNIT aurora_node_gpu_memory_bytes bytes",
        "# UNIT aurora_node_last_seen_timestamp_seconds seconds",
        "# UNIT aurora_node_last_seen_age_seconds seconds",
        "# UNIT aurora_node_registered_timestamp_seconds seconds",
        "# UNIT aurora_node_lifecycle_until_timestamp_seconds seconds",
        "# UNIT aurora_node_clock_offset_seconds seconds",
        "# UNIT aurora_node_gpu_utilization_ratio ratio",
        "# UNIT aurora_node_gpu_memory_used_bytes bytes",
        "# UNIT aurora_node_gpu_temperature_celsius celsius",
        "# UNIT aurora_mesh_gpu_memory_bytes bytes",
    ]
    assert body.endswith("\naurora_topology_edges_omitted 0\n# EOF\n")


def test_metrics_about_ourselves_stand_last() -> None:
    """The end of OpenMetrics comes after them."""
    own = b"# TYPE aurora_registry_store_up gauge\naurora_registry_store_up 1\n"
    assert Mesh().scrape(own=own).endswith("\naurora_topology_edges_omitted 0\n" + own.decode())
    assert Mesh().scrape(own=own, open_metrics=True).endswith(own.decode() + "# EOF\n")


def test_an_empty_mesh_still_has_its_sums() -> None:
    """Families without samples go without metadata; sums are there as zeros, so that a rule on them has something."""
    assert samples_of(Mesh().scrape()) == [
        'aurora_mesh_gpus{status="active"} 0',
        'aurora_mesh_gpus{status="warning"} 0',
        'aurora_mesh_gpus{status="offline"} 0',
        'aurora_mesh_gpu_memory_bytes{status="active"} 0',
        'aurora_mesh_gpu_memory_bytes{status="warning"} 0',
        'aurora_mesh_gpu_memory_bytes{status="offline"} 0',
        "aurora_topology_edges_omitted 0",
    ]
    assert len(metadata_of(Mesh().scrape())) == 6


def test_names_choose_families_by_their_samples(mesh: Mesh) -> None:
    """A family's OpenMetrics name, which no sample has, chooses nothing."""
    body = mesh.scrape(names=frozenset({"aurora_node_gpus", "aurora_node_status_transitions", "no_such"}))
    assert samples_of(body) == ['aurora_node_gpus{node="vengeance"} 2']
    body = mesh.scrape(names=frozenset({"aurora_topology_edges_omitted"}), open_metrics=True)
    assert samples_of(body) == ["aurora_topology_edges_omitted 0"]
    assert mesh.scrape(names=frozenset()) == ""


def test_disabled_families_are_left_out_whole(mesh: Mesh) -> None:
    """A reload takes them away and brings them back."""
    disabled = [name for name in TABLE if name != "aurora_node_gpus"]
    mesh.exposition.reconfigure(disabled_families=disabled, rules=(), max_edges=1)
    body = mesh.scrape()
    assert body == (
        "# HELP aurora_node_gpus GPUs that the node is registered with.\n"
        "# TYPE aurora_node_gpus gauge\n"
        'aurora_node_gpus{node="vengeance"} 2\n'
    )
    mesh.exposition.reconfigure(disabled_families=(), rules=(), max_edges=1)
    assert mesh.scrape() == WHOLE_TEXT


def test_edges_above_the_limit_are_counted() -> None:
    """Two of the six are shown."""
    mesh = Mesh(rules=(EdgeRule("vpn_mesh"),), max_edges=2)
    for name in "abc":
        mesh.register(name)
    names = frozenset({"aurora_topology_edge_info", "aurora_topology_edges_omitted"})
    assert samples_of(mesh.scrape(names=names)) == [
        'aurora_topology_edge_info{source="a",target="b",type="vpn_mesh"} 1',
        'aurora_topology_edge_info{source="a",target="c",type="vpn_mesh"} 1',
        "aurora_topology_edges_omitted 4",
    ]


def test_readings_go_when_the_node_goes_offline(mesh: Mesh) -> None:
    """What it had on its GPUs five minutes ago is not what it has; how many it had stays."""
    mesh.pass_time(302)
    body = mesh.scrape()
    assert "aurora_node_gpu_utilization_ratio" not in body
    assert 'aurora_node_gpus_observed{node="vengeance"} 1' in body
    assert 'aurora_node_status{node="vengeance",status="offline"} 1' in body


def test_a_closed_exposition_follows_the_map_no_more(mesh: Mesh) -> None:
    """Nothing of it stays in the node map."""
    mesh.exposition.close()
    assert mesh.node_map.listeners == []


def test_promtool_finds_nothing_to_better(mesh: Mesh) -> None:
    """The linter of Prometheus itself, on what Prometheus reads."""
    promtool = shutil.which(newest("promtool"))
    if promtool is None:
        pytest.skip("promtool is not installed: it comes with Prometheus")
    mesh.register("neighbour", vpn_ip="fd00::2", metadata={"site": "🏠"})
    mesh.heartbeat("vengeance", gpus=[{"index": 1, "power_watts": 80.5}])
    done = subprocess.run(
        [promtool, "check", "metrics"], input=mesh.scrape().encode(), capture_output=True, check=False, timeout=30
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
