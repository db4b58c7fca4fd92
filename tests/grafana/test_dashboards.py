"""The dashboards as files: what their source makes, well formed, by the linter's rules and ours."""

from __future__ import annotations

import pytest

from grafana.source import dashboards as made
from tests.grafana.conftest import DIRECTORY
from tests.support.dashboard_form import form_problems
from tests.support.dashboard_lint import EXCLUDED, RULES, lint_problems
from tests.support.dashboard_look import look_problems
from tests.support.dashboard_model import loads

UIDS = ("aurora-mesh", "aurora-node", "aurora-gpu", "aurora-topology", "aurora-registry")


def test_committed_files_are_what_the_source_makes():
    """To the byte; `python -m grafana.source` writes them."""
    assert {path.name: path.read_text(encoding="utf-8") for path in DIRECTORY.iterdir()} == made()


def test_file_names_follow_from_uids(dashboards):
    """Links and bookmarks rest on these uids."""
    assert {path.stem for path in DIRECTORY.iterdir()} == {uid.removeprefix("aurora-") for uid in UIDS}
    assert set(dashboards) == set(UIDS)


@pytest.mark.parametrize("uid", UIDS)
def test_form(dashboards, uid):
    """Ids are unique, the grid is full, and Grafana's model knows every key."""
    assert form_problems(dashboards[uid]) == []


@pytest.mark.parametrize("uid", UIDS)
def test_linter(dashboards, known, uid):
    """Grafana's dashboard-linter has nothing to say, and every expression asks for what exists."""
    assert lint_problems(dashboards[uid], known) == []


@pytest.mark.parametrize("uid", UIDS)
def test_look(dashboards, known, uid):
    """Colours, thresholds, mappings, legends, overrides and links mean what they say."""
    assert look_problems(dashboards[uid], known, dashboards.values()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [('{"uid": 1, "uid": 2}', "an object has the key 'uid' twice"), ('{"max": NaN}', "NaN is no JSON")],
)
def test_json_is_strict(text, message):
    """What parsers disagree about is refused."""
    with pytest.raises(ValueError, match=message):
        loads(text)


def test_every_rule_of_the_linter_is_held_or_bent_with_a_reason():
    """The linter's stable rules by name, and nothing that is excluded without being one of ours."""
    held = {name for names in RULES for name in names.split(", ")}
    assert held == {
        *("template-datasource", "template-job", "template-instance", "template-label-promql"),
        *("template-on-time-change-reload", "template-unused", "panel-datasource", "panel-title-description"),
        *("panel-units", "panel-no-targets", "target-promql", "target-counter-agg", "target-rate-interval"),
        *("target-job", "target-instance", "uneditable-dashboard"),
    }
    assert {rule for rule, _ in EXCLUDED} <= held
    assert all(EXCLUDED.values())
