"""Ways to break a dashboard, each with what must be said of it: they prove the checks."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

from tests.support.dashboard_model import Json, panels, variables

NEVER_FOUND = "aurora-twin"


@dataclass(frozen=True)
class Fault:
    """One break of one dashboard; `said` is a part of a problem that the checks then name."""

    uid: str
    name: str
    said: str
    apply: Callable[[Json], object]


def broken(dashboard: Json, fault: Fault) -> Json:
    """A copy with the fault in it."""
    copied = copy.deepcopy(dashboard)
    fault.apply(copied)
    return copied


def empty_twin(dashboard: Json) -> Json:
    """A copy of which one panel selects a role that no node has: every check of the text passes it."""
    twin = copy.deepcopy(dashboard)
    twin["uid"] = NEVER_FOUND
    _replace(twin, "Nodes by status", "aurora_mesh_nodes{", 'aurora_mesh_nodes{role="nobody", ')
    return twin


def _panel(dashboard: Json, title: str) -> Json:
    return next(panel for panel in panels(dashboard) if panel["title"] == title)


def _variable(dashboard: Json, name: str) -> Json:
    return next(variable for variable in variables(dashboard) if variable["name"] == name)


def _replace(dashboard: Json, title: str, part: str, instead: str) -> None:
    targets = _panel(dashboard, title)["targets"]
    assert any(part in target["expr"] for target in targets), f"{part} is not in {title}"
    for target in targets:
        target["expr"] = target["expr"].replace(part, instead)


def _fault(uid: str, name: str, said: str) -> Callable[[Callable[[Json], object]], Callable[[Json], object]]:
    def add(apply: Callable[[Json], object]) -> Callable[[Json], object]:
        FAULTS.append(Fault(f"aurora-{uid}", name, said, apply))
        return apply

    return add


def _asks(uid: str, title: str, part: str, instead: str, said: str) -> None:
    FAULTS.append(Fault(f"aurora-{uid}", f"{title}: {instead}", said, lambda d: _replace(d, title, part, instead)))


FAULTS: list[Fault] = []

_asks("mesh", "Nodes", "aurora_mesh_nodes", "aurora_mesh_node", "aurora_mesh_node, which nobody exposes")
_asks("mesh", "Active", 'status="active"', 'state="active"', "matches state, a label that aurora_mesh_nodes does not")
_asks("mesh", "Active", 'status="active"', 'status="activ"', "a value that status never has")
_asks("mesh", "Nodes", "max(", "max((", "is no PromQL")
_asks("mesh", "Nodes", ', instance=~"$instance"', "", 'without instance=~"$instance"')
_asks("mesh", "Nodes", 'job=~"$job"', 'job=~".+"', 'without job=~"$job"')
_asks("mesh", "Nodes", "max(sum by (job, instance) (", "sum(sum by () (", "once for every registry")
_asks("mesh", "Nodes by status", "sum by (status)", "sum by (state)", "names the label state")
_asks("mesh", "Transitions", "$__rate_interval", "5m", "not over $__rate_interval")
_asks("mesh", "Transitions", "increase(", "max_over_time(", "without rate, irate or increase")
_asks("mesh", "GPUs by status of their node", "max by (status)", "max by (status, instance)", "once for every registry")
_asks("gpu", "GPUs by type", "topk by (node) (1, ", "(", "registries that disagree")
_asks("node", "Heartbeat age", '"$node"', '"$machine"', "$machine is used, and no variable has that name")
_asks("node", "Heartbeat age", 'node="$node"', 'host="$node"', "matches host")
_asks("topology", "Nodes and connections", '"mainstat"', '"main"', "its query gives no field mainstat")


@_fault("mesh", "a uid is lost", "its uid is None")
def _(dashboard: Json) -> None:
    del dashboard["uid"]


@_fault("mesh", "a panel id twice", "is there twice")
def _(dashboard: Json) -> None:
    _panel(dashboard, "Active")["id"] = _panel(dashboard, "Nodes")["id"]


@_fault("gpu", "a refId twice", "the refId A is there twice")
def _(dashboard: Json) -> None:
    _panel(dashboard, "How busy GPUs are")["targets"][1]["refId"] = "A"


@_fault("mesh", "panels overlap", "it overlaps")
def _(dashboard: Json) -> None:
    _panel(dashboard, "Active")["gridPos"]["x"] -= 1


@_fault("mesh", "a hole in the grid", "the grid has a hole")
def _(dashboard: Json) -> None:
    _panel(dashboard, "Active")["gridPos"]["w"] -= 1


@_fault("mesh", "wider than the grid", "it does not fit into the grid")
def _(dashboard: Json) -> None:
    _panel(dashboard, "Alerts firing")["gridPos"]["w"] += 24


@_fault("mesh", "an export", "it has __inputs")
def _(dashboard: Json) -> None:
    dashboard["__inputs"] = []


@_fault("mesh", "a key that Grafana does not know", "Grafana's model does not know")
def _(dashboard: Json) -> None:
    _panel(dashboard, "Nodes")["options"]["colour"] = "value"


@_fault("mesh", "another data source", "is not the variable ${datasource}")
def _(dashboard: Json) -> None:
    _panel(dashboard, "Nodes")["targets"][0]["datasource"] = {"type": "prometheus", "uid": "prometheus"}


@_fault("mesh", "no description", "no title, or no description")
def _(dashboard: Json) -> None:
    _panel(dashboard, "Nodes")["description"] = ""


@_fault("gpu", "no unit", "it has no unit")
def _(dashboard: Json) -> None:
    del _panel(dashboard, "VRAM registered")["fieldConfig"]["defaults"]["unit"]


@_fault("gpu", "a unit of nobody", "'gigabytes' is no unit that is known")
def _(dashboard: Json) -> None:
    _panel(dashboard, "VRAM registered")["fieldConfig"]["defaults"]["unit"] = "gigabytes"


@_fault("node", "amber too late", "and config.yaml has [120.0, 300.0] seconds")
def _(dashboard: Json) -> None:
    _panel(dashboard, "Heartbeat age")["fieldConfig"]["defaults"]["thresholds"]["steps"][1]["value"] = 180


@_fault("node", "a status without a text", "has no text and colour for offline")
def _(dashboard: Json) -> None:
    for mapping in _panel(dashboard, "Status, lifecycle and receiving")["fieldConfig"]["defaults"]["mappings"]:
        mapping["options"].pop("3", None)


@_fault("mesh", "offline in green", "is red everywhere")
def _(dashboard: Json) -> None:
    for mapping in _panel(dashboard, "Status of nodes")["fieldConfig"]["defaults"]["mappings"]:
        mapping["options"]["3"]["color"] = "green"


@_fault("mesh", "a rainbow", "which are for status")
def _(dashboard: Json) -> None:
    _panel(dashboard, "Nodes by status")["fieldConfig"]["defaults"]["color"] = {"mode": "palette-classic"}


@_fault("gpu", "a heatmap in red and green", "which are for status")
def _(dashboard: Json) -> None:
    _panel(dashboard, "GPU utilisation by node")["options"]["color"]["scheme"] = "RdYlGn"


@_fault("gpu", "an amount in green", "green is for status")
def _(dashboard: Json) -> None:
    _panel(dashboard, "VRAM registered")["fieldConfig"]["defaults"]["color"] = {"mode": "fixed", "fixedColor": "green"}


@_fault("mesh", "a link to nowhere", "leads to no dashboard")
def _(dashboard: Json) -> None:
    _panel(dashboard, "Nodes")["links"] = [{"title": "x", "url": "/d/aurora-nodes?${__url_time_range}"}]


@_fault("mesh", "a link that fills in what is not there", "fills in the variable name, which is not there")
def _(dashboard: Json) -> None:
    _panel(dashboard, "Nodes")["links"] = [{"title": "x", "url": "/d/aurora-node?var-name=a&${__url_time_range}"}]


@_fault("mesh", "a link that forgets the time", "loses the time range")
def _(dashboard: Json) -> None:
    _panel(dashboard, "Nodes")["links"] = [{"title": "x", "url": "/d/aurora-node?var-node=a"}]


@_fault("mesh", "an override for a field that is not there", "an override is for the field 'Nodee'")
def _(dashboard: Json) -> None:
    override = {"matcher": {"id": "byName", "options": "Nodee"}, "properties": []}
    _panel(dashboard, "Not active")["fieldConfig"]["overrides"].append(override)


@_fault("mesh", "a transformation of a field that is not there", "organize names the field 'state'")
def _(dashboard: Json) -> None:
    for one in _panel(dashboard, "Not active")["transformations"]:
        one["options"].setdefault("renameByName", {})["state"] = "State"


@_fault("mesh", "a legend of a label that is not there", "its legend names site")
def _(dashboard: Json) -> None:
    _panel(dashboard, "Status of nodes")["targets"][0]["legendFormat"] = "{{site}}"


@_fault("mesh", "no legend", "it has no legend")
def _(dashboard: Json) -> None:
    _panel(dashboard, "Nodes by status")["options"]["legend"]["showLegend"] = False


@_fault("mesh", "a history in a table", "it is a history, and the panel shows one moment")
def _(dashboard: Json) -> None:
    _panel(dashboard, "Not active")["targets"][0] |= {"instant": False, "range": True}


@_fault("mesh", "one moment in a graph", "it is of one moment, and the panel shows a history")
def _(dashboard: Json) -> None:
    _panel(dashboard, "Nodes by status")["targets"][0] |= {"instant": True, "range": False}


@_fault("mesh", "a variable that is asked once", "is not refreshed when the time range changes")
def _(dashboard: Json) -> None:
    _variable(dashboard, "instance")["refresh"] = 1


@_fault("node", "a variable of a label that is not there", "asks for the label name")
def _(dashboard: Json) -> None:
    _variable(dashboard, "node")["query"] = 'label_values(aurora_node_info{job=~"$job", instance=~"$instance"}, name)'


@_fault("mesh", "a variable that nothing uses", "the variable shown is used nowhere")
def _(dashboard: Json) -> None:
    target = _panel(dashboard, "Status of nodes")["targets"][0]
    target["expr"] = target["expr"].replace("$shown", ">= 1")


@_fault("mesh", "an annotation of nobody's metric", "annotation 'Site disrupted': names the metric")
def _(dashboard: Json) -> None:
    for one in dashboard["annotations"]["list"]:
        one["expr"] = one["expr"].replace("aurora_site_disrupted", "aurora_site_down")


@_fault("mesh", "everybody may edit", "it is editable")
def _(dashboard: Json) -> None:
    dashboard["editable"] = True


@_fault("gpu", "nothing asked", "it has no targets")
def _(dashboard: Json) -> None:
    _panel(dashboard, "VRAM registered")["targets"] = []


@_fault("topology", "a ring without a part", "no calculation makes the field arc__offline")
def _(dashboard: Json) -> None:
    for one in _panel(dashboard, "Nodes and connections")["transformations"]:
        if one["options"].get("alias") == "arc__offline":
            one["options"]["alias"] = "offline"


@_fault("topology", "a graph without edges", "a node graph needs a query called edges")
def _(dashboard: Json) -> None:
    _panel(dashboard, "Nodes and connections")["targets"][-1]["refId"] = "connections"
