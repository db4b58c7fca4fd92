"""Grafana's own code says what the harness is asked, and each fault that Grafana passes over is reported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.grafana_data import Answer, Link, PanelAnswers, Problem, Processed, process

Series = tuple[Mapping[str, str], float]
GIB = 2**30


def vector(*series: Series, ref_id: str = "A", **target: Any) -> Answer:
    """The answer to an instant query."""
    found = [{"metric": labels, "value": [60.0, repr(float(value))]} for labels, value in series]
    return Answer({"refId": ref_id, "expr": "x", **target}, success("vector", found))


def matrix(*series: tuple[Mapping[str, str], list[float]], **target: Any) -> Answer:
    """The answer to a range query of a sample a minute."""
    found = [
        {"metric": labels, "values": [[60.0 * at, repr(float(value))] for at, value in enumerate(values)]}
        for labels, values in series
    ]
    return Answer({"refId": "A", "expr": "x", **target}, success("matrix", found))


def success(result_type: str, result: Any) -> Mapping[str, Any]:
    return {"status": "success", "data": {"resultType": result_type, "result": result}}


def panel(kind: str, **parts: Any) -> dict[str, Any]:
    """A panel of this type with a target; `defaults` and `overrides` make its field configuration."""
    config = {"defaults": parts.pop("defaults", {}), "overrides": parts.pop("overrides", [])}
    return {"type": kind, "targets": [{}], "fieldConfig": config, **parts}


def override(name: str, **properties: Any) -> dict[str, Any]:
    values = [{"id": key, "value": value} for key, value in properties.items()]
    return {"matcher": {"id": "byName", "options": name}, "properties": values}


def nodes(*series: Series) -> Answer:
    return vector(*series, ref_id="nodes", format="table")


def edges(*series: Series) -> Answer:
    return vector(*series, ref_id="edges", format="table")


EDGE = {"id": "a-b", "source": "a", "target": "b"}
STATUSES = {
    "type": "value",
    "options": {"0": {"text": "offline", "color": "#ff0000"}, "1": {"text": "active", "color": "#00ff00"}},
}
NODE_TABLE = vector(({"node": "a"}, 1), ({"node": "b"}, 2), format="table")
LOAD_TABLE = vector(({"node": "a"}, 0.5), ref_id="B", format="table")
JOIN = {"id": "joinByField", "options": {"byField": "node", "mode": "outer"}}

GOOD: dict[str, PanelAnswers] = {
    "bytes": PanelAnswers(panel("stat", defaults={"unit": "bytes", "decimals": 1}), [vector(({}, 24 * GIB))]),
    "ratio": PanelAnswers(panel("stat", defaults={"unit": "percentunit"}), [vector(({}, 0.25))]),
    "duration": PanelAnswers(panel("stat", defaults={"unit": "dtdurations", "decimals": 1}), [vector(({}, 90))]),
    "status": PanelAnswers(
        panel("state-timeline", defaults={"mappings": [STATUSES]}), [matrix(({"node": "a"}, [1, 0]))]
    ),
    "legend": PanelAnswers(
        panel("timeseries", options={"legend": {"calcs": ["max"]}}, defaults={"unit": "celsius"}),
        [matrix(({"node": "a", "gpu": "0"}, [60, 71]), legendFormat="{{node}} / {{ gpu }}")],
    ),
    "automatic": PanelAnswers(
        panel("timeseries"),
        [matrix(*(({"__name__": "m", "job": "j", "node": n}, [1.0]) for n in "ab"), legendFormat="__auto")],
    ),
    "whole": PanelAnswers(panel("timeseries"), [matrix(({"__name__": "m", "node": "a", "gpu": "0"}, [1]))]),
    "expression": PanelAnswers(panel("timeseries"), [matrix(({}, [1]))]),
    "join": PanelAnswers(
        panel(
            "table",
            transformations=[
                JOIN,
                {"id": "organize", "options": {"renameByName": {"Value #B": "Load"}, "excludeByName": {"Time": True}}},
            ],
            overrides=[
                override("Load", unit="percentunit"),
                override("node", links=[{"title": "${__value.text}", "url": "/d/n?var-node=${__data.fields.node}"}]),
            ],
        ),
        [NODE_TABLE, LOAD_TABLE],
    ),
    "half": PanelAnswers(panel("table"), [NODE_TABLE, vector(ref_id="B", format="table")]),
    "calculate": PanelAnswers(
        panel(
            "table",
            transformations=[
                {
                    "id": "calculateField",
                    "options": {"mode": "reduceRow", "alias": "mainstat", "reduce": {"reducer": "sum"}},
                }
            ],
        ),
        [NODE_TABLE],
    ),
    "graph": PanelAnswers(
        panel("nodeGraph"), [nodes(({"id": "a"}, 1), ({"id": "b"}, 1)), edges((EDGE, 1))]
    ),
    "heatmap": PanelAnswers(
        panel("heatmap"),
        [
            matrix(
                ({"le": "+Inf"}, [5, 9]), ({"le": "0.5"}, [2, 3]), ({"le": "0.1"}, [1, 3]),
                format="heatmap", legendFormat="{{le}}",
            )
        ],
    ),
    "title": PanelAnswers(panel("stat", title="GPUs of $node"), [vector(({}, 1))], variables={"node": "vengeance"}),
    "label": PanelAnswers(
        panel("stat", defaults={"displayName": "${__field.labels.node}"}), [vector(({"node": "a", "x": "y"}, 1))]
    ),
}  # fmt: skip

NAMELESS = {"title": "t", "url": "/d/n?var-node=${__data.fields.name}"}
ANSWER_400 = {"status": "error", "errorType": "bad_data", "error": "parse error"}
FAULTS: dict[str, tuple[PanelAnswers, Problem]] = {
    "refused query": (
        PanelAnswers(panel("row", targets=[]), [Answer({"refId": "A"}, ANSWER_400)]),
        Problem("answer", "A: bad_data: parse error"),
    ),
    "empty": (PanelAnswers(panel("stat"), [vector()]), Problem("no data", "No data")),
    "unit": (
        PanelAnswers(panel("stat", defaults={"unit": "gigabyte"}), [vector(({}, 1))]),
        Problem("unit", 'Grafana knows no unit "gigabyte"'),
    ),
    "color": (
        PanelAnswers(panel("stat", defaults={"color": {"mode": "threshold"}}), [vector(({}, 1))]),
        Problem("color", 'Grafana knows no colour mode "threshold"'),
    ),
    "reducer": (
        PanelAnswers(panel("stat", options={"reduceOptions": {"calcs": ["latest"]}}), [vector(({}, 1))]),
        Problem("reducer", 'Grafana knows no calculation "latest"'),
    ),
    "transformation": (
        PanelAnswers(panel("table", transformations=[{"id": "joinByLabel", "options": {}}]), [NODE_TABLE]),
        Problem("transformation", '@grafana/data knows no transformation "joinByLabel"'),
    ),
    "renamed": (
        PanelAnswers(
            panel("table", transformations=[{"id": "organize", "options": {"renameByName": {"Value #B": "Load"}}}]),
            [NODE_TABLE],
        ),
        Problem("field", 'the transformation organize reads "Value #B", which no field is named'),
    ),
    "joined": (
        PanelAnswers(
            panel("table", transformations=[{"id": "joinByField", "options": {"byField": "nodes"}}]),
            [NODE_TABLE, LOAD_TABLE],
        ),
        Problem("field", 'the transformation joinByField reads "nodes", which no field is named'),
    ),
    "matcher": (
        PanelAnswers(
            panel("table", overrides=[{"matcher": {"id": "byLabel", "options": "a"}, "properties": []}]), [NODE_TABLE]
        ),
        Problem("matcher", 'Grafana knows no matcher "byLabel"'),
    ),
    "unmatched": (
        PanelAnswers(panel("table", overrides=[override("Node", unit="bytes")]), [NODE_TABLE]),
        Problem("unmatched", 'the override byName "Node" matches no field'),
    ),
    "property": (
        PanelAnswers(panel("table", overrides=[override("node", colour="red")]), [NODE_TABLE]),
        Problem("property", 'the override byName "node" sets colour, which is no property of a field'),
    ),
    "mapping": (
        PanelAnswers(panel("state-timeline", defaults={"mappings": [STATUSES]}), [matrix(({"node": "a"}, [1, 2]))]),
        Problem("mapping", '{node="a"}: no value mapping for 2'),
    ),
    "variable": (
        PanelAnswers(
            panel("table", overrides=[override("node", links=[NAMELESS])]),
            [NODE_TABLE],
        ),
        Problem("variable", '${__data.fields.name} stands for nothing in "/d/n?var-node=${__data.fields.name}"'),
    ),
    "node without id": (
        PanelAnswers(panel("nodeGraph"), [nodes(({"node": "a"}, 1)), edges()]),
        Problem("node graph", "nodes have no field id"),
    ),
    "renamed id": (
        PanelAnswers(
            panel("nodeGraph", transformations=[{"id": "organize", "options": {"renameByName": {"node": "id"}}}]),
            [nodes(({"node": "a"}, 1))],
        ),
        Problem("node graph", "nodes have no field id"),
    ),
    "edge without target": (
        PanelAnswers(panel("nodeGraph"), [nodes(({"id": "a"}, 1)), edges(({"id": "1", "source": "a"}, 1))]),
        Problem("node graph", "edges have no field target"),
    ),
    "unknown node": (
        PanelAnswers(panel("nodeGraph"), [nodes(({"id": "a"}, 1)), edges((EDGE, 1))]),
        Problem("node graph", 'an edge\'s target "b" is no node: the panel fails'),
    ),
    "same id twice": (
        PanelAnswers(panel("nodeGraph"), [nodes(({"id": "a", "x": "1"}, 1), ({"id": "a", "x": "2"}, 1)), edges()]),
        Problem("node graph", "ids of nodes are not unique"),
    ),
    "arc of words": (
        PanelAnswers(panel("nodeGraph"), [nodes(({"id": "a", "arc__up": "1"}, 1)), edges()]),
        Problem("node graph", "arc__up is of type string, not number"),
    ),
    "colour of no arc": (
        PanelAnswers(
            panel("nodeGraph", options={"nodes": {"arcs": [{"field": "arc__up", "color": "green"}]}}),
            [nodes(({"id": "a"}, 1)), edges()],
        ),
        Problem("node graph", "the panel colours arc__up, which nodes do not have"),
    ),
    "merged": (
        PanelAnswers(
            panel("nodeGraph", transformations=[{"id": "merge", "options": {}}]),
            [nodes(({"id": "a"}, 1), ({"id": "b"}, 1)), edges((EDGE, 1))],
        ),
        Problem("node graph", "0 frames of nodes, not one"),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def processed() -> tuple[dict[str, Processed], dict[str, Processed]]:
    """Everything in one start of Node."""
    done = process([*GOOD.values(), *(case for case, _ in FAULTS.values())])
    return dict(zip(GOOD, done, strict=False)), dict(zip(FAULTS, done[len(GOOD) :], strict=True))


@pytest.fixture(scope="module")
def good(processed: tuple[dict[str, Processed], dict[str, Processed]]) -> dict[str, Processed]:
    return processed[0]


@pytest.mark.parametrize(
    ("case", "text"),
    [("bytes", "24.0 GiB"), ("ratio", "25%"), ("duration", "1 minute, 30 seconds"), ("title", "1")],
)
def test_units_are_grafanas(good, case, text):
    """A stat shows its value in the unit that it names."""
    assert [value.text for value in good[case].values] == [text]


def test_faultless_panels_have_no_problem(good):
    """The harness invents no fault."""
    assert {case: one.problems for case, one in good.items() if one.problems} == {}


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_is_reported(processed, case):
    """Each is named with its kind and in words."""
    assert FAULTS[case][1] in processed[1][case].problems


def test_statuses_have_mapped_texts_and_colors(good):
    """Value mappings give a state timeline its words and colours."""
    cells = good["status"].frames[0].fields[1].cells
    assert [(cell.text, cell.color) for cell in cells] == [("active", "#00ff00"), ("offline", "#ff0000")]


@pytest.mark.parametrize(
    ("case", "names"),
    [
        ("legend", ["a / 0"]),
        ("automatic", ['{node="a"}', '{node="b"}']),
        ("whole", ['m{gpu="0", node="a"}']),
        ("expression", ["x"]),
        ("label", ["a"]),
    ],
)
def test_series_bear_the_names_of_their_legend(good, case, names):
    """`{{label}}`, `__auto`, no format, no label at all, a display name."""
    assert [frame.fields[1].display_name for frame in good[case].frames] == names


def test_legend_calculates(good):
    """A legend's calculation is shown in the field's unit."""
    calculations = good["legend"].frames[0].fields[1].calculations
    assert [(one.name, one.text) for one in calculations] == [("Max", "71 °C")]


def test_tables_are_joined_and_organized(good):
    """Columns by name, gaps where one side has no row, units by the new name, links of each row."""
    (frame,) = good["join"].frames
    assert [(field.display_name, field.texts) for field in frame.fields] == [
        ("node", ["a", "b"]),
        ("Value #A", ["1", "2"]),
        ("Load", ["50%", ""]),
    ]
    assert frame.field("node").cells[1].links == (Link("b", "/d/n?var-node=b"),)


def test_an_empty_table_does_not_rename_the_other(good):
    """A value's column bears its query's letter as soon as a panel has two tables, whether rows came or not."""
    assert [field.name for field in good["half"].frames[0].fields] == ["Time", "node", "Value #A"]


def test_calculated_field_really_bears_its_alias(good):
    """What a node graph needs: the name itself, not a name for show."""
    assert good["calculate"].frames[0].field("mainstat").name == "mainstat"


def test_node_graph_gets_both_frames(good):
    """Instant tables by refId, each with its labels as fields."""
    frames = {frame.ref_id: [field.name for field in frame.fields] for frame in good["graph"].frames}
    assert frames == {
        "nodes": ["Time", "id", "Value #nodes"],
        "edges": ["Time", "id", "source", "target", "Value #edges"],
    }


def test_cumulative_buckets_become_counts_of_each(good):
    """Sorted by their boundary, each less the one below."""
    (frame,) = good["heatmap"].frames
    assert [(field.display_name, field.values) for field in frame.fields[1:]] == [
        ("0.1", (1, 3)),
        ("0.5", (1, 0)),
        ("+Inf", (3, 6)),
    ]


def test_title_has_its_variables(good):
    """As the dashboard shows it."""
    assert good["title"].title == "GPUs of vengeance"


def test_broken_harness_says_what_node_said():
    """What is no panel at all ends the run with Node's own message."""
    with pytest.raises(RuntimeError, match="TypeError"):
        process([PanelAnswers(None)])  # type: ignore[arg-type]
