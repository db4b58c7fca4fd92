"""Every panel of every dashboard, over what Prometheus answers of a real mesh, through Grafana's own code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from tests.grafana.test_dashboards import UIDS
from tests.support.dashboard_live import SCRAPE_SECONDS, STATES
from tests.support.dashboard_model import Json, panels
from tests.support.grafana_data import Answer, PanelAnswers, process

pytestmark = pytest.mark.servers

OF_THE_MESH = {"no data", "unmatched", "field"}
"""Kinds that show what a mesh has not, such as a conflict or an alert: a fault only where they hold in all of them."""
Found = set[tuple[str, str, str]]


@pytest.fixture(scope="module")
def problems(dashboards: Mapping[str, Json], recording: Mapping[str, Any]) -> dict[tuple[str, str], Found]:
    """By state of the mesh and dashboard: the panel, the kind and the text of each problem. Node is started once."""
    places = [(state, uid, panel) for state in STATES for uid in UIDS for panel in panels(dashboards[uid])]
    done = process([_answers(recording[state], uid, panel) for state, uid, panel in places])
    by_place: dict[tuple[str, str], Found] = {(state, uid): set() for state in STATES for uid in UIDS}
    for (state, uid, panel), processed in zip(places, done, strict=True):
        by_place[state, uid] |= {(panel["title"], problem.kind, problem.text) for problem in processed.problems}
    return by_place


def _answers(recorded: Mapping[str, Any], uid: str, panel: Json) -> PanelAnswers:
    reported = recorded["answers"][uid]
    answers = reported["panels"][str(panel["id"])].values()
    return PanelAnswers(
        panel,
        [Answer(answer["target"], answer["response"]) for answer in answers],
        from_ms=round(recorded["from"] * 1000),
        to_ms=round(recorded["to"] * 1000),
        interval_ms=SCRAPE_SECONDS * 1000,
        variables=reported["variables"],
    )


def _faults(found: Iterable[Found]) -> Found:
    by_state = list(found)
    everywhere = set.intersection(*by_state)
    return {one for state in by_state for one in state if one[1] not in OF_THE_MESH or one in everywhere}


@pytest.mark.parametrize("uid", UIDS)
def test_grafana_knows_all_that_the_dashboard_names(problems, uid):
    """Units, colours, calculations, transformations and the fields that they read, mappings, links, node graphs."""
    assert _faults(problems[state, uid] for state in STATES) == set()
