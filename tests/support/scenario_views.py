"""What each of our views says of the missing nodes' alerts: sent, or suppressed."""

from __future__ import annotations

import re
import signal
import time
from typing import Any

import yaml

from tests.grafana.previews.queries import Prometheus, Window, ask, variables
from tests.support.dashboard_live import in_quick_time
from tests.support.dashboard_model import loads, panels
from tests.support.registry_process import ROOT, program, run_program
from tests.support.scenario_stack import Stack
from tests.support.server_process import until

SENT, SUPPRESSED = "sent", "suppressed"
ALERT_OF = {"warning": "AuroraNodeWarning", "offline": "AuroraNodeOffline"}
LISTS = {
    "still missing": SENT,
    "missing, alerts suppressed": SUPPRESSED,
    "active, alerts suppressed": "",
    "overdue": SUPPRESSED,
    "forgotten": "",
    "deregistered": "",
}
"""What the lists of the digest say of the nodes that are missing."""
DASHBOARD = ROOT / "grafana" / "dashboards" / "mesh.json"
Views = dict[str, str]
"""By node, of those that are missing."""


def alertmanager(stack: Stack) -> Views:
    """The alert of the node's status is there and goes to a receiver, or it does not."""
    active = {
        (alert["labels"]["alertname"], alert["labels"].get("node"))
        for alert in stack.alertmanager.alerts()
        if alert["status"]["state"] == "active"
    }
    return {name: _word((ALERT_OF[node["status"]], name) in active) for name, node in _missing(stack).items()}


def why(stack: Stack) -> Views:
    """By `GET /nodes/{name}/why`."""
    registry = stack.registries[0]
    return {name: _word(not registry.get(f"/nodes/{name}/why").json()["suppressed"]) for name in _missing(stack)}


def digest(stack: Stack) -> Views:
    """By the lists of `aurora-cli digest`."""
    registry = stack.registries[0]
    done = run_program([*program("cli"), "digest", "--registry", registry.url, "--since", "1h"], registry.directory)
    assert done.returncode == 0, done.stderr
    text = " ".join(done.stdout.split())
    found: Views = {}
    for part in re.split(f"(?=(?:{'|'.join(LISTS)}): )", text):
        title, _, rest = part.partition(": ")
        if word := LISTS.get(title):
            found |= dict.fromkeys(re.findall(r"(\S+) \((?:warning|offline)", rest), word)
    return found


def page(stack: Stack) -> Views:
    """By what the status page lists as wrong (`GET /mesh`)."""
    problems = stack.registries[0].get("/mesh").json()["problems"]
    own = {(problem["alert"], problem.get("node")) for problem in problems}
    return {name: _word((ALERT_OF[node["status"]], name) in own) for name, node in _missing(stack).items()}


def page_alerts(stack: Stack) -> Views:
    """By the alerts that the status page shows (`GET /alerts`)."""
    answer = stack.registries[0].get("/alerts").json()
    assert (answer["configured"], answer["error"]) == (True, ""), answer
    firing = {(alert["name"], alert["node"]) for alert in answer["alerts"]}
    return {name: _word((ALERT_OF[node["status"]], name) in firing) for name, node in _missing(stack).items()}


def dashboard(stack: Stack) -> Views:
    """By the column *Alert* of the dashboard's table *Not active*."""
    return {row["node"]: row["alert"] for row in _rows(stack, "Not active")}


def dashboard_counts(stack: Stack) -> dict[str, float]:
    """What the dashboard's panel *Alerts firing* counts: A alerts that are sent, B nodes whose alert is suppressed."""
    return _values(stack, "Alerts firing")


def dashboard_verdict(stack: Stack) -> float:
    """What the dashboard's first panel says."""
    return _values(stack, "Is the mesh healthy?")["A"]


VIEWS = {view.__name__: view for view in (alertmanager, why, digest, page, page_alerts, dashboard)}


def differing(stack: Stack, expected: Views) -> dict[str, Views]:
    """By view, what it says otherwise."""
    found = {}
    for name, view in VIEWS.items():
        said = view(stack)
        wrong = {node: said.get(node, "nothing") for node in expected if said.get(node) != expected[node]}
        wrong |= {node: word for node, word in said.items() if node not in expected}
        if wrong:
            found[name] = wrong
    return found


def show_prometheus(stack: Stack) -> None:
    """Let the registries know the Prometheus that their pages ask."""
    for registry in stack.registries:
        settings = yaml.safe_load(registry.configuration.read_text())
        registry.configure({**settings, "alerting": {"prometheus_url": stack.prometheus.url}})
        registry.signal(signal.SIGHUP)
        until(lambda registry=registry: registry.get("/alerts").json()["configured"], expected=True)  # type: ignore[misc]


def _missing(stack: Stack) -> dict[str, Any]:
    nodes = stack.registries[0].nodes()
    return {name: node for name, node in nodes.items() if node["status"] != "active"}


def _word(sent: bool) -> str:
    return SENT if sent else SUPPRESSED


def _results(stack: Stack, title: str, kind: str) -> dict[str, list[dict[str, Any]]]:
    mesh = in_quick_time(loads(DASHBOARD.read_text(encoding="utf-8")))
    prometheus, window = Prometheus(stack.prometheus.url, 1), Window.of("now-1m", time.time(), 1)
    [panel] = [panel for panel in panels(mesh) if (panel["title"], panel["type"]) == (title, kind)]
    answers = ask(panel, variables(mesh, prometheus, window, {}), prometheus, window).answers
    return {answer.target["refId"]: answer.response["data"]["result"] for answer in answers}


def _rows(stack: Stack, title: str) -> list[dict[str, str]]:
    return [row["metric"] for row in _results(stack, title, "table")["A"]]


def _values(stack: Stack, title: str) -> dict[str, float]:
    return {ref: float(rows[0]["value"][1]) for ref, rows in _results(stack, title, "stat").items() if rows}
