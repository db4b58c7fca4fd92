"""The checks of dashboards notice what is broken."""

from __future__ import annotations

import copy

import pytest

from tests.support.dashboard_faults import FAULTS, NEVER_FOUND, broken, empty_twin
from tests.support.dashboard_form import form_problems
from tests.support.dashboard_lint import lint_problems
from tests.support.dashboard_live import live_problems, node_graph_problems
from tests.support.dashboard_look import look_problems
from tests.support.dashboard_model import panels


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.uid.removeprefix('aurora-')}: {fault.name}")
def test_a_fault_is_named(dashboards, known, fault):
    """Whatever is broken, a problem says so that was not there before."""

    def problems(dashboard):
        everybody = dashboards.values()
        return {
            *form_problems(dashboard),
            *lint_problems(dashboard, known),
            *look_problems(dashboard, known, everybody),
        }

    whole = dashboards[fault.uid]
    found = problems(broken(whole, fault)) - problems(whole)
    assert [problem for problem in found if fault.said in problem], found


@pytest.mark.servers
def test_an_expression_that_finds_nothing_is_named(dashboards, recording):
    """What is right by its words and never brings data is seen only where a real Prometheus is asked."""
    twin = empty_twin(dashboards["aurora-mesh"])
    expected = f"{NEVER_FOUND}, 'Nodes by status', A: it brings no data in any mesh"
    assert expected in live_problems(twin, recording, {})


@pytest.mark.servers
def test_an_expression_that_prometheus_refuses_is_named(dashboards, recording):
    """A join that fails says so only when it is run."""
    spoilt = copy.deepcopy(recording)
    answers = spoilt["broken"]["answers"]["aurora-gpu"]["panels"]
    answers["1"]["A"]["response"] = {"status": "error", "errorType": "execution", "error": "duplicate series"}
    problems = live_problems(dashboards["aurora-gpu"], spoilt, {})
    assert any("Prometheus refuses it in the mesh that is broken: duplicate series" in problem for problem in problems)


@pytest.mark.servers
def test_an_excuse_that_is_not_needed_is_named(dashboards, recording):
    """The table of excuses cannot grow old."""
    problems = live_problems(dashboards["aurora-mesh"], recording, {("aurora-mesh", "stat", "Nodes"): "none"})
    assert "aurora-mesh, 'Nodes': it is excused from data in health, and has them" in problems


@pytest.mark.servers
@pytest.mark.parametrize(
    ("place", "instead", "said"),
    [
        (("edges", "target"), "nobody", "an edge has the target nobody, which is no node: the panel throws"),
        (("edges", "source"), None, "a row of edges has no field source"),
        (("nodes", "title"), None, "a row of nodes has no field title"),
        (("nodes", "id"), "aurora", "the id aurora is there twice in nodes"),
    ],
)
def test_a_broken_node_graph_is_named(dashboards, recording, place, instead, said):
    """Field names, ids, and edges that lead nowhere."""
    dashboard, spoilt = dashboards["aurora-topology"], copy.deepcopy(recording)
    ref_id, field = place
    graph = next(panel for panel in panels(dashboard) if panel["type"] == "nodeGraph")
    rows = spoilt["healthy"]["answers"]["aurora-topology"]["panels"][str(graph["id"])][ref_id]["response"]["data"]
    for row in rows["result"][:2]:
        if instead is None:
            del row["metric"][field]
        else:
            row["metric"][field] = instead
    assert any(said in problem for problem in node_graph_problems(dashboard, spoilt))
