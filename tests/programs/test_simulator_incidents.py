from __future__ import annotations

from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.domain.clock import MINUTE, SECOND
from exporter.domain.errors import Invalid
from exporter.programs.simulator.incident import HEALTHY, ActiveFault, Incident, IncidentKind, condition
from exporter.programs.simulator.population import populate
from exporter.programs.simulator.report import report
from exporter.programs.simulator.schedule import Turn, due, next_due_ns, turns
from exporter.programs.simulator.script import parse_script, read_script
from exporter.programs.simulator.targets import check_targets, select_targets

MESH = populate(40, 3, 1)
INTERVAL = 30 * SECOND


def faults(text):
    with pytest.raises(Invalid) as refused:
        parse_script(text)
    return [str(fault) for fault in refused.value.faults]


def test_a_script_says_what_happens_to_which_node_and_when():
    script = "- {kind: node_flaps, at: 0s, for: 10m, every: 1h, period: 4m, site: lab, share: 0.5}"

    assert parse_script(script) == (
        Incident(IncidentKind.NODE_FLAPS, 0, 10 * MINUTE, 60 * MINUTE, site="lab", share=0.5, period_ns=4 * MINUTE),
    )


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ("{kind: node_dies, at: 1m, form: 5m}", "[0].form: unknown key; did you mean for?"),
        ("{kind: node_dies}", "[0].at: required: a duration since the start, such as 0s or 2m"),
        (
            "{kind: clock_skew, at: 1m, offset: soon}",
            "[0].offset: expected a duration such as 90s, or -90s, got 'soon'",
        ),
        ("{kind: site_fails, at: 1m, count: 3}", "[0].count: unknown key"),
        ("{kind: node_dies, at: 1m, every: 5m}", "[0].for: required where every repeats the incident"),
        ("{kind: node_dies, at: 1m, for: 5m, every: 5m}", "[0].every: expected more than for (5m), got 5m"),
        ("{kind: node_dies, at: 1m, nodes: [a], role: edge}", "[0].role: expected either nodes, by name, or what"),
        ("{kind: gpu_hot, at: 1m, celsius: 500}", "[0].celsius: expected degrees Celsius from 0 to 150, got 500"),
    ],
)
def test_what_a_script_cannot_say_is_refused_by_name(entry, complaint):
    [fault] = faults(f"- {entry}")

    assert fault.startswith(complaint)


def test_an_unknown_kind_is_answered_with_the_kinds_that_exist():
    assert "[0].kind: expected site_fails, node_dies" in faults("- {kind: earthquake, at: 1m}")[0]


def test_the_shipped_script_affects_nodes_and_shows_every_kind_but_garbage():
    """That one needs a bus."""
    incidents = read_script("default")

    check_targets(incidents, MESH)
    assert {incident.kind for incident in incidents} == set(IncidentKind) - {IncidentKind.GARBAGE_ON_BUS}
    assert max(incident.at_ns + (incident.for_ns or 0) for incident in incidents) <= 15 * MINUTE


def test_nobody_is_named_in_vain():
    incidents = (
        Incident(IncidentKind.NODE_DIES, 0, nodes=("desk-verra",)),
        Incident(IncidentKind.SITE_FAILS, 0, site="moon"),
    )

    with pytest.raises(Invalid) as refused:
        check_targets(incidents, MESH)
    assert str(refused.value).startswith("[0].nodes[0]: no node of this mesh is 'desk-verra'; did you mean desk-vera?")
    assert refused.value.faults[1].field == "[1].site"


def test_a_site_fails_with_all_its_nodes():
    affected = select_targets(Incident(IncidentKind.SITE_FAILS, 0, site="lab"), 0, MESH, 1)

    assert affected == tuple(index for index, member in enumerate(MESH) if member.site.name == "lab")


@given(st.integers(0, 50), st.integers(0, 99), st.integers(1, 60), st.sampled_from(["", "compute", "edge"]))
def test_who_is_chosen_fits_and_is_chosen_again(number, seed, count, role):
    """The lead is nobody's victim by chance."""
    incident = Incident(IncidentKind.GPU_LOST, 0, count=count, role="compute" if role == "edge" else role, gpu=1)
    affected = select_targets(incident, number, MESH, seed)

    assert affected == select_targets(incident, number, MESH, seed)
    assert len(affected) == min(count, sum(member.gpus > 1 for member in MESH))
    assert all(MESH[index].gpus > 1 and MESH[index].role == "compute" for index in affected)


@given(st.integers(1, 500), st.lists(st.integers(1, INTERVAL), max_size=40))
def test_every_node_is_due_once_an_interval(nodes, steps):
    """However irregular the looks are."""
    found: list[int] = []
    at = -1
    for step in steps:
        upto = min(INTERVAL - 1, at + step)
        found += due(nodes, INTERVAL, at, upto)
        at = upto
    found += due(nodes, INTERVAL, at, INTERVAL - 1)

    assert found == list(range(nodes))


@given(st.integers(1, 500), st.integers(0, 10**12))
def test_nobody_is_due_before_the_next_is(nodes, after):
    next_ns = next_due_ns(nodes, INTERVAL, after)

    assert after < next_ns <= after + INTERVAL // nodes + 1
    assert (list(due(nodes, INTERVAL, after, next_ns - 1)), len(list(due(nodes, INTERVAL, after, next_ns)))) == ([], 1)


def test_a_stall_is_not_made_up():
    assert sorted(due(7, INTERVAL, 0, 100 * INTERVAL)) == list(range(7))


def test_turns_come_in_order_and_go_on():
    script = (
        Incident(IncidentKind.NODE_DIES, 10, 5, 20),
        Incident(IncidentKind.NODE_DIES, 15),
        Incident(IncidentKind.GPU_HOT, 0, 1000),
    )
    found = list(islice(turns(script), 6))

    assert found == [
        Turn(0, begins=True, position=2, number=0),
        Turn(10, begins=True, position=0, number=0),
        Turn(15, begins=False, position=0, number=0),
        Turn(15, begins=True, position=1, number=0),
        Turn(30, begins=True, position=0, number=1),
        Turn(35, begins=False, position=0, number=1),
    ]
    assert all(one.at_ns <= other.at_ns for one, other in pairwise(found))


def test_a_flapping_node_stops_and_sends_by_turns():
    flapping = [ActiveFault(Incident(IncidentKind.NODE_FLAPS, 0, period_ns=4 * MINUTE), MINUTE)]

    assert [not condition(flapping, minute * MINUTE).sending for minute in (1, 2, 3, 4, 5)] == [
        True,
        True,
        False,
        False,
        True,
    ]


def test_faults_add_up_in_what_a_node_says():
    member = next(member for member in MESH if member.gpus == 4)
    faults = [
        ActiveFault(Incident(IncidentKind.GPU_LOST, 0, gpu=3), 0),
        ActiveFault(Incident(IncidentKind.GPU_HOT, 0, gpu=1, celsius=95.0), 0),
        ActiveFault(Incident(IncidentKind.CLOCK_SKEW, 0, offset_ns=-90 * SECOND), 0),
    ]
    said = report(member, condition(faults, 0), hours=9, wall_ns=1000 * SECOND, sequence=7, seed=1)

    assert (said["timestamp"], said["sequence"], said["status"]) == (910.0, 7, "active")
    assert [read.index for read in said["gpus"]] == [0, 1, 2]
    assert said["gpus"][1].temperature_celsius >= 95
    assert condition([], 0) is HEALTHY
