"""The dashboards over a real Prometheus that scrapes two registries: in health, broken, and without Redis."""

from __future__ import annotations

import pytest

from exporter.domain.registration import GIB
from grafana.source import look
from tests.grafana.test_dashboards import UIDS
from tests.support.dashboard_live import NODE, live_problems, node_graph_problems, series, shown
from tests.support.dashboard_model import panels

pytestmark = pytest.mark.servers

EMPTY_IN_HEALTH = {
    ("aurora-mesh", "table", "Not active"): "every node is active",
    ("aurora-mesh", "table", "Alerts firing"): "none fires",
    ("aurora-mesh", "table", "Out of service, until"): "no node is out of service",
    ("aurora-mesh", "table", "Frozen"): "every node's heartbeats are received",
    ("aurora-mesh", "table", "Lost GPUs"): "every GPU is observed",
    ("aurora-gpu", "table", "Lost GPUs"): "every GPU is observed",
    ("aurora-mesh", "state-timeline", "Status of nodes"): "it opens with the nodes that were not active",
    ("aurora-registry", "timeseries", "Events and readings rejected"): "none is refused",
    ("aurora-registry", "timeseries", "Requests refused"): "none is refused",
}
"""Panels that have data only once something is wrong, and why."""
SETTLED = ("healthy", "broken")
TOTALS = {
    ("aurora-mesh", "Nodes", "A"): lambda stats: stats["total_nodes"],
    ("aurora-mesh", "Active", "A"): lambda stats: stats["active_nodes"],
    ("aurora-mesh", "Warning", "A"): lambda stats: stats["warning_nodes"],
    ("aurora-mesh", "Offline", "A"): lambda stats: stats["offline_nodes"],
    ("aurora-topology", "Nodes", "A"): lambda stats: stats["total_nodes"],
    ("aurora-gpu", "GPUs available", "A"): lambda stats: stats["active_gpus"],
    ("aurora-gpu", "GPUs available", "B"): lambda stats: stats["total_gpus"],
    ("aurora-gpu", "VRAM registered", "A"): lambda stats: stats["total_vram_gb"] * GIB,
    ("aurora-gpu", "VRAM active", "A"): lambda stats: stats["active_vram_gb"] * GIB,
}
"""Which number of /stats each stat shows."""


@pytest.mark.parametrize("uid", UIDS)
def test_every_expression_brings_data(dashboards, recording, uid):
    """Prometheus takes each, each has data in one mesh at least, and each panel in the healthy one but for a few."""
    assert live_problems(dashboards[uid], recording, EMPTY_IN_HEALTH) == []


def test_the_broken_mesh_is_broken(recording):
    """What follows is shown of nodes in every status."""
    stats = recording["broken"]["stats"]
    assert (stats["active_nodes"], stats["warning_nodes"], stats["offline_nodes"]) == (7, 1, 4)


@pytest.mark.parametrize("state", SETTLED)
@pytest.mark.parametrize("place", TOTALS, ids=" ".join)
def test_numbers_are_those_of_the_registry(dashboards, recording, state, place):
    """What a stat shows, /stats says at the same moment; two registries do not double it."""
    uid, title, ref_id = place
    expected = TOTALS[place](recording[state]["stats"])
    assert shown(recording, state, dashboards[uid], title, ref_id=ref_id) == expected


@pytest.mark.parametrize("state", SETTLED)
def test_roles_are_those_of_the_registry(dashboards, recording, state):
    """By role and status, as the documents of the nodes have it."""
    panel = next(one for one in panels(dashboards["aurora-mesh"]) if one["title"] == "By role")
    found = {
        (row["metric"]["role"], row["metric"]["status"]): float(row["value"][1])
        for row in series(recording, state, "aurora-mesh", panel, "A")
    }
    expected = dict.fromkeys(found, 0.0)
    for document in recording[state]["nodes"].values():
        expected[document["role"], document["status"]] += 1
    assert found == expected
    by_role: dict[str, float] = {}
    for (role, _), count in found.items():
        by_role[role] = by_role.get(role, 0) + count
    assert by_role == recording[state]["stats"]["nodes_by_role"]


@pytest.mark.parametrize("state", SETTLED)
def test_connections_are_those_of_the_registry(dashboards, recording, state):
    """As many as /topology has, each once."""
    connections = recording[state]["topology"]["connections"]
    panel = next(one for one in panels(dashboards["aurora-topology"]) if one["type"] == "nodeGraph")
    edges = [row["metric"] for row in series(recording, state, "aurora-topology", panel, "edges")]
    reported = sorted((edge["source"], edge["target"], edge["type"]) for edge in connections)
    assert sorted((edge["source"], edge["target"], edge["mainstat"]) for edge in edges) == reported
    assert shown(recording, state, dashboards["aurora-topology"], "Connections") == len(connections)


@pytest.mark.parametrize("state", ["healthy", "broken", "cut off"])
def test_rings_of_the_node_graph_are_whole(dashboards, recording, state):
    """The parts of each ring sum to 1, and every node that is shown has one."""
    dashboard = dashboards["aurora-topology"]
    panel = next(one for one in panels(dashboard) if one["type"] == "nodeGraph")
    rings: dict[str, float] = {}
    for ref_id in ("nodes", "warning", "offline"):
        for row in series(recording, state, dashboard["uid"], panel, ref_id):
            name = row["metric"]["id"]
            rings[name] = rings.get(name, 0) + float(row["value"][1])
    assert rings == dict.fromkeys(recording[state]["nodes"], 1.0)
    assert node_graph_problems(dashboard, recording) == []


def test_the_cost_of_a_node_is_what_it_registered_with(dashboards, recording):
    """In dollars an hour."""
    document = recording["healthy"]["nodes"][NODE]
    shown_cost = shown(recording, "healthy", dashboards["aurora-node"], "Cost")
    assert shown_cost == document["metadata"]["cost_per_hour"]


def test_a_lost_gpu_shows(dashboards, recording):
    """Seen beside registered."""
    node = dashboards["aurora-node"]
    for state, seen in (("healthy", 4), ("broken", 3)):
        assert shown(recording, state, node, "GPUs observed / registered", ref_id="A") == seen
        assert shown(recording, state, node, "GPUs observed / registered", ref_id="B") == 4


def test_the_first_stat_says_how_the_mesh_is(dashboards, recording):
    """Healthy; a disrupted site where one is; not receiving where no status is known; nothing without a registry."""
    received = ("healthy", "broken", "cut off")
    said = [shown(recording, state, dashboards["aurora-mesh"], "Is the mesh healthy?") for state in received]
    assert said == [1, 4, 6]
    panel = next(one for one in panels(dashboards["aurora-mesh"]) if one["title"] == "Is the mesh healthy?")
    assert series(recording, "unreachable", "aurora-mesh", panel, "A") == []
    assert panel["fieldConfig"]["defaults"]["noValue"] == "No registry"


def test_what_is_unknown_is_not_zero(dashboards, recording):
    """While no registry can be scraped a stat has no number of its nodes and GPUs, and shows a dash."""
    for uid, title, ref_id in TOTALS:
        panel = next(one for one in panels(dashboards[uid]) if (one["type"], one["title"]) == ("stat", title))
        assert series(recording, "unreachable", uid, panel, ref_id) == [], f"{uid}: {title}"
        assert panel["fieldConfig"]["defaults"]["noValue"] == look.UNKNOWN, f"{uid}: {title}"


def alerts(dashboards, recording, state):
    """How many alerts are sent, and of how many nodes the alert is suppressed, as the mesh dashboard counts them."""
    return [shown(recording, state, dashboards["aurora-mesh"], "Alerts firing", ref_id=ref) for ref in ("A", "B")]


def test_suppressed_alerts_are_kept_apart(dashboards, recording):
    """Of the broken mesh: three nodes of the disrupted site, and one whose maintenance is overdue."""
    assert alerts(dashboards, recording, "healthy") == [0, 0]
    sent, suppressed = alerts(dashboards, recording, "broken")
    assert sent > 0
    panel = next(one for one in panels(dashboards["aurora-mesh"]) if one["title"] == "Not active")
    rows = {
        row["metric"]["node"]: row["metric"]["alert"] for row in series(recording, "broken", "aurora-mesh", panel, "A")
    }
    assert {node for node, alert in rows.items() if alert == "suppressed"} == {
        *(f"cellar-{n}" for n in (1, 2, 3)),
        "bench",
    }
    assert suppressed == 4
    assert rows["vengeance"] in {"pending", "sent"}


def test_what_is_held_shows(dashboards, recording):
    """Without Redis no heartbeat counts, over HTTP neither: the status is frozen."""
    panel = next(one for one in panels(dashboards["aurora-node"]) if one["title"] == "Status, lifecycle and receiving")
    held = {
        state: float(series(recording, state, "aurora-node", panel, "C")[0]["values"][-1][1])
        for state in ("healthy", "broken", "cut off")
    }
    assert held == {"healthy": 20, "broken": 20, "cut off": 21}


@pytest.mark.parametrize("state", SETTLED)
def test_the_heatmap_has_a_row_for_each_gpu_node(dashboards, recording, state):
    """Each node with readings, once, however many registries expose it; utilisation is from 0 to 1."""
    panel = next(one for one in panels(dashboards["aurora-gpu"]) if one["type"] == "heatmap")
    found = series(recording, state, "aurora-gpu", panel, "A")
    names = [row["metric"]["node"] for row in found]
    reporting = {
        name for name, document in recording["healthy"]["nodes"].items() if document["capabilities"].get("gpu")
    }
    assert sorted(names) == sorted(reporting)
    assert all(0 <= float(point[1]) <= 1 for row in found for point in row["values"])


def test_lost_gpus_are_listed_with_how_many_are_missing(dashboards, recording):
    """The node that lost one of its four."""
    for uid in ("aurora-mesh", "aurora-gpu"):
        panel = next(one for one in panels(dashboards[uid]) if one["title"] == "Lost GPUs")
        rows = series(recording, "broken", uid, panel, "A")
        assert {row["metric"]["node"]: float(row["value"][1]) for row in rows} == {NODE: 1.0}


def test_planned_work_is_listed_with_its_end(dashboards, recording):
    """One drains for an hour; the maintenance of the other ended while it was offline: it is overdue."""
    panel = next(one for one in panels(dashboards["aurora-mesh"]) if one["title"] == "Out of service, until")
    rows = series(recording, "broken", "aurora-mesh", panel, "A")
    ends = {row["metric"]["node"]: float(row["value"][1]) for row in rows}
    assert {name: seconds > 0 for name, seconds in ends.items()} == {NODE: True, "bench": False}


def test_a_frozen_status_is_listed_where_no_registry_receives_the_node(dashboards, recording):
    """Every node without Redis; none before."""
    panel = next(one for one in panels(dashboards["aurora-mesh"]) if one["title"] == "Frozen")
    rows = {state: series(recording, state, "aurora-mesh", panel, "A") for state in recording}
    assert [len(rows[state]) for state in ("healthy", "broken")] == [0, 0]
    assert {row["metric"]["node"] for row in rows["cut off"]} == set(recording["cut off"]["nodes"])


def test_availability_is_the_part_of_time_in_service_that_was_active(dashboards, recording):
    """Between nothing and all of it; a site has the mean of its nodes."""
    for label, worse, better in (("site", "cellar", "canada"), ("node", "cellar-1", "runpod-ca")):
        panel = next(one for one in panels(dashboards["aurora-mesh"]) if one["title"] == f"Availability by {label}")
        rows = series(recording, "broken", "aurora-mesh", panel, "A")
        parts = {row["metric"][label]: float(row["value"][1]) for row in rows}
        assert all(0 <= part <= 1 for part in parts.values())
        assert parts[worse] < parts[better]


def test_the_cost_of_the_mesh_is_the_sum_of_its_nodes(dashboards, recording):
    """An hour, and 730 of them."""
    documents = recording["healthy"]["nodes"].values()
    hour = sum(document["metadata"].get("cost_per_hour", 0) for document in documents)
    mesh = dashboards["aurora-mesh"]
    assert shown(recording, "healthy", mesh, "Cost") == pytest.approx(hour)
    assert shown(recording, "healthy", mesh, "Cost", ref_id="B") == pytest.approx(730 * hour)
