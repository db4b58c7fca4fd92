"""What every expression of every dashboard brings on a real Prometheus: recorded once, judged as often as wanted."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from demo.speed import scaled_duration, scaled_expression
from tests.grafana.previews.queries import Prometheus, Window, ask, fill, variables
from tests.support.dashboard_mesh import break_mesh, cut_off, let_idle, populate, take_away
from tests.support.dashboard_model import Json, markers, panels, where
from tests.support.dashboard_model import variables as variables_of
from tests.support.registry_process import RegistryProcess
from tests.support.scenario_stack import FACTOR, Stack, stack

SCRAPE_SECONDS = 1
STATES = ("healthy", "broken", "cut off", "unreachable")
SETTLED = ("healthy", "broken")
"""Those in which heartbeats are received."""
PLAYS = 3
"""How often the mesh is played at most, where the machine stops a registry for longer than it may."""
STALL_SECONDS = 0.1
"""More than a start takes, and less than any age that counts here."""
NODE = "runpod-tx"
"""The node that the node dashboard shows: it has all that a node can have."""
QUIET_SECONDS = 1.5
"""After a change: two scrapes, and rules that were evaluated since."""
FIRST_SECONDS = 6.0
"""Before the first look: longer than the step of the subqueries, which is five minutes in a sixtieth of the time."""
Recording = dict[str, Any]


def record(directory: Path, dashboards: Iterable[Json]) -> Recording:
    """Play the mesh, and keep by state: `stats`, `nodes` and `topology` of the registry, and all `answers`.

    `answers` go by uid, panel id and refId: `target`, with its expression filled in, and Prometheus' whole `response`.
    """
    quick = [in_quick_time(dashboard) for dashboard in dashboards]
    for play in range(PLAYS):
        recording, stalled = _play(directory / str(play), quick)
        if not stalled:
            break
    return recording


def _play(directory: Path, dashboards: Iterable[Json]) -> tuple[Recording, bool]:
    """The recording, and whether the machine stopped a registry meanwhile: rightly blind, it holds what it knew."""
    recording: Recording = {}
    with stack(directory, replicas=2) as running:
        nodes = populate(running)
        running.open_curtain()
        acts = (
            lambda: let_idle(nodes),
            lambda: break_mesh(running, nodes),
            lambda: cut_off(running),
            lambda: take_away(running),
        )
        stalled, known = False, {}
        for state, act in zip(STATES, acts, strict=True):
            act()
            time.sleep(QUIET_SECONDS if recording else FIRST_SECONDS)
            if state != "unreachable":  # then what the registry said last stands
                known = _known(running.registries[0])
            recording[state] = known | _looked_at(running, dashboards)
            stalled |= state in SETTLED and any(_was_blind(registry) for registry in running.registries)
    return recording, stalled


def _was_blind(registry: RegistryProcess) -> bool:
    blind = "aurora_registry_blind_seconds_total"
    return any(registry.metric(f'{blind}{{transport="{transport}"}}') > STALL_SECONDS for transport in ("bus", "http"))


def in_quick_time(dashboard: Json) -> Json:
    """The dashboard with the durations that are written in it divided, as the mesh lives in that time."""
    quick = copy.deepcopy(dashboard)
    for panel in panels(quick):
        if "interval" in panel:
            panel["interval"] = scaled_duration(panel["interval"], FACTOR)
        for target in panel.get("targets") or []:
            target["expr"] = scaled_expression(target["expr"], FACTOR)
    for variable in (one for one in variables_of(quick) if one["type"] == "custom"):
        variable["current"]["value"] = scaled_expression(variable["current"]["value"], FACTOR)
    return quick


def _known(registry: RegistryProcess) -> Json:
    stats = registry.get("/stats").json()
    return {
        "stats": {key: value for key, value in stats.items() if key != "timestamp"},
        "nodes": registry.nodes(),
        "topology": registry.get("/topology").json(),
    }


def _looked_at(running: Stack, dashboards: Iterable[Json]) -> Json:
    prometheus = Prometheus(running.prometheus.url, SCRAPE_SECONDS)
    window = Window.of("now-1m", time.time(), SCRAPE_SECONDS)
    answers = {dashboard["uid"]: _answers(dashboard, prometheus, window) for dashboard in dashboards}
    return {
        "from": window.start,
        "to": window.end,
        "answers": answers,
    }


def _answers(dashboard: Json, prometheus: Prometheus, window: Window) -> Json:
    values = variables(dashboard, prometheus, window, {"node": NODE})
    found: Json = {"variables": values, "panels": {}, "annotations": {}}
    for panel in panels(dashboard):
        asked = ask(panel, values, prometheus, window)
        found["panels"][str(panel["id"])] = {
            answer.target["refId"]: {"target": answer.target, "response": answer.response} for answer in asked.answers
        }
    for marker in markers(dashboard):
        text = fill(str(marker.get("expr", "")), values, window, SCRAPE_SECONDS)
        response = prometheus.get("query_range", query=text, start=window.start, end=window.end, step=window.step)
        found["annotations"][marker["name"]] = {"response": response}
    return found


def live_problems(
    dashboard: Json, recording: Mapping[str, Any], excused: Mapping[tuple[str, str, str], str]
) -> list[str]:
    """Errors of Prometheus, targets that never bring data, and panels that have none in health.

    `excused`: why a panel (uid, type, title) may be empty in health; an excuse that is not needed is a problem too.
    """
    return [*_errors(dashboard, recording), *_empty(dashboard, recording, excused)]


def series(recording: Mapping[str, Any], state: str, uid: str, panel: Json, ref_id: str) -> list[Json]:
    """What one target brought in one state."""
    answer = recording[state]["answers"][uid]["panels"][str(panel["id"])][ref_id]["response"]
    found: list[Json] = answer.get("data", {}).get("result", [])
    return found


def shown(recording: Mapping[str, Any], state: str, dashboard: Json, title: str, *, ref_id: str = "A") -> float:
    """The one number that a stat shows."""
    panel = next(one for one in panels(dashboard) if (one["type"], one["title"]) == ("stat", title))
    found = series(recording, state, dashboard["uid"], panel, ref_id)
    assert len(found) == 1, f"{where(dashboard, panel, ref_id)}, {state}: expected one number, got {len(found)} series"
    return float(found[0]["value"][1])


def _errors(dashboard: Json, recording: Mapping[str, Any]) -> Iterator[str]:
    for state, recorded in recording.items():
        answers = recorded["answers"][dashboard["uid"]]
        asked = [
            (where(dashboard, panel, ref_id), answer)
            for panel in panels(dashboard)
            for ref_id, answer in answers["panels"][str(panel["id"])].items()
        ]
        asked += [(where(dashboard, detail=name), answer) for name, answer in answers["annotations"].items()]
        for place, answer in asked:
            if answer["response"]["status"] != "success":
                yield f"{place}: Prometheus refuses it in the mesh that is {state}: {answer['response']['error']}"


def _empty(dashboard: Json, recording: Mapping[str, Any], excused: Mapping[tuple[str, str, str], str]) -> Iterator[str]:
    uid = dashboard["uid"]
    for panel in panels(dashboard):
        filled = dict.fromkeys(recording, False)
        for target in panel.get("targets") or []:
            brought = [state for state in recording if _finite(series(recording, state, uid, panel, target["refId"]))]
            filled.update(dict.fromkeys(brought, True))
            if not brought:
                yield f"{where(dashboard, panel, target['refId'])}: it brings no data in any mesh"
        excuse = (uid, panel["type"], panel["title"]) in excused
        if any(filled.values()) and not filled["healthy"] and not excuse:
            yield f"{where(dashboard, panel)}: it has no data while the mesh is healthy"
        if filled["healthy"] and excuse:
            yield f"{where(dashboard, panel)}: it is excused from data in health, and has them"


def _finite(found: Iterable[Json]) -> bool:
    points = [point for one in found for point in (one.get("values") or [one.get("value")]) if point]
    return any(point[1] not in ("NaN", "+Inf", "-Inf") for point in points)


def node_graph_problems(dashboard: Json, recording: Mapping[str, Any]) -> list[str]:
    """Edges lead only to nodes that are shown, no id is there twice, and the parts of each node's ring sum to 1."""
    found: list[str] = []
    for panel in panels(dashboard):
        if panel["type"] == "nodeGraph":
            for state in recording:
                found += [
                    f"{where(dashboard, panel)}, {state}: {problem}"
                    for problem in _graph(dashboard["uid"], panel, recording, state)
                ]
    return found


def _graph(uid: str, panel: Json, recording: Mapping[str, Any], state: str) -> Iterator[str]:
    by_ref = {target["refId"]: series(recording, state, uid, panel, target["refId"]) for target in panel["targets"]}
    if not {"nodes", "edges"} <= set(by_ref):
        yield f"its queries are {sorted(by_ref)}, and it needs nodes and edges"
        return
    nodes, edges = ([one["metric"] for one in by_ref[name]] for name in ("nodes", "edges"))
    for name, frame, wanted in (("nodes", nodes, {"id", "title"}), ("edges", edges, {"id", "source", "target"})):
        for labels in frame:
            for field in sorted(wanted - set(labels)):
                yield f"a row of {name} has no field {field}"
        ids = [labels.get("id", "") for labels in frame]
        for one in sorted({one for one in ids if ids.count(one) > 1}):
            yield f"the id {one} is there twice in {name}"
    known = {labels.get("id") for labels in nodes}
    for labels in edges:
        for end in ("source", "target"):
            if labels.get(end) not in known:
                yield f"an edge has the {end} {labels.get(end)}, which is no node: the panel throws"


def save(recording: Recording, path: Path) -> None:
    """Write it out for programs that draw from it."""
    path.write_text(json.dumps(recording))
