"""A metric that dashboards, rules or documents name is exposed, and what is exposed is looked at by one of them."""

from __future__ import annotations

import re
from functools import cache

import pytest

from tests.docs.blocks import ROOT
from tests.support.dashboard_model import expressions, loads
from tests.support.dashboard_names import exposed_labels, known_labels, rules
from tests.support.dashboard_promql import read

DASHBOARDS = sorted((ROOT / "grafana" / "dashboards").glob("*.json"))
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("alerts/runbooks/*.md"))]
NAME = re.compile(r"\b(?:aurora_(?:node|mesh|site|topology|registry)_\w*[a-z0-9]|[a-z]+:aurora_[a-z_]+:[a-z]+)\b")
UNSEEN = {
    "aurora_node_gpu_energy_joules_total": "its rate is the power, which is shown; for bills",
    "aurora_node_gpu_mig_enabled": "for joins with the exporters of instances",
    "aurora_node_agent_info": "for joins, and for the question which version runs where",
    "aurora_registry_state_bytes": "for sizing limits.max_state; the refusals say when it is too small",
    "aurora_registry_event_streams": "browsers and programs that follow events: many or few are no trouble",
    "aurora_registry_event_streams_dropped_total": "a slow reader harms itself alone, and gets the reason",
    "aurora_registry_event_loop_lag_seconds": "for the question whether it was the registry that was slow",
    "aurora_registry_event_bus_subscriptions_lost_total": "the blind time that follows is shown",
    "aurora_registry_log_lines_dropped_total": "for the question why a log has gaps",
    "aurora_registry_store_durable": "a choice of those who set Redis up: said at the start, and by /health",
    "aurora_registry_store_queue_length": "how much a store that is down lacks; that it is down is shown",
    "aurora_registry_store_transitions_dropped_total": "for the question why a history has gaps: the store was down",
    "aurora_registry_store_records_rejected_total": "the log names each; no record of ours is ever among them",
    "aurora_registry_http_request_duration_seconds_sum": "the histogram's buckets and count say more than its mean",
    "process_virtual_memory_bytes": "reserved addresses; what is resident is shown",
}
"""What stands in no dashboard and no rule, and why."""


@cache
def known() -> dict[str, frozenset[str]]:
    return known_labels()


def of_dashboards() -> set[str]:
    asked = [expression for file in DASHBOARDS for expression in expressions(loads(file.read_text()))]
    return {name for expression in asked for name in read(expression.text, known()).metrics}


def of_rules() -> set[str]:
    return {name for rule in rules() for name in read(str(rule["expr"]), known()).metrics}


def exposed() -> set[str]:
    return {name for name in exposed_labels() if not name.startswith("python_")}


def test_dashboards_and_rules_name_metrics_that_exist():
    """Exposed by the registry, recorded by a rule, or Prometheus' own."""
    assert (of_dashboards() | of_rules()) - set(known()) == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_documents_name_metrics_that_exist(page):
    """A name in the documentation can be queried as it stands there; families of histograms by their own name."""
    families = {re.sub(r"_(?:bucket|sum|count)$", "", name) for name in known()}
    assert set(NAME.findall(page.read_text())) - families - set(known()) == set()


def test_what_is_exposed_is_looked_at():
    """Every family is in a dashboard or a rule, or it is said why not."""
    assert exposed() - of_dashboards() - of_rules() == set(UNSEEN)
