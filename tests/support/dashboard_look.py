"""Our own rules of how a dashboard looks: what colours mean, thresholds as configured, links that lead somewhere."""

from __future__ import annotations

import colorsys
import re
from collections.abc import Iterable, Iterator, Mapping

from exporter.domain.clock import SECOND
from exporter.domain.config import Config
from tests.support.dashboard_model import Json, field_properties, panels, text_of, variables, where
from tests.support.dashboard_promql import VALUES, read, variables_in

STATUS_COLOUR = re.compile(r"^(?:(?:super-|semi-)?(?:light|dark)-)?(?:green|orange|yellow|red)$")
"""Only for how something is."""
FAINT = 0.25
BLUE_FROM, BLUE_TO = 0.45, 0.9
"""Saturation below which a colour is grey, and the hues from cyan to pink, which say nothing of a status."""
STATUS_NAMES = {"active": "green", "warning": "orange", "offline": "red"}
GRADED = (*STATUS_NAMES, "arc__active", "arc__warning", "arc__offline", "forgotten")
RAINBOW = re.compile(r"^(?:palette-classic|continuous-(?:Gr|Rd|YlRd|BlYlRd|GrYlRd|reds|greens)|.*(?:Red|Green|Yl|Or))")
"""Palettes with green, amber or red in them, which say nothing of a status."""
THRESHOLDS = Config().thresholds
AGE_STEPS = [None, THRESHOLDS.warning_after / SECOND, THRESHOLDS.offline_after / SECOND]
AGE = "aurora_node_last_seen_age_seconds"
LEGENDS = ("timeseries", "barchart", "statetimeline", "piechart")
GRAPH_FIELDS = {
    "nodes": {"id", "title", "subtitle", "mainstat", "secondarystat"},
    "edges": {"id", "source", "target", "mainstat"},
}
OF_ONE_MOMENT = ("stat", "table", "gauge", "bargauge", "barchart", "piechart", "nodeGraph")
OVER_TIME = ("timeseries", "heatmap", "statetimeline", "state-timeline", "status-history")
_DASHBOARD = re.compile(r"^/d/(?P<uid>[\w-]+)(?:/[\w-]*)?(?P<query>\?.*)?$")
_FILLED = re.compile(r"var-(\w+)=")

Known = Mapping[str, frozenset[str]]


def look_problems(dashboard: Json, known: Known, all_dashboards: Iterable[Json]) -> list[str]:
    """What a reader would stumble over. `all_dashboards`: those that links may lead to."""
    found = [*_links(dashboard, {other["uid"]: other for other in all_dashboards})]
    for panel in panels(dashboard):
        for rule in (_colours, _thresholds, _mappings, _queries, _legend):
            found += rule(dashboard, panel)
        found += [*_node_graph(dashboard, panel, known), *_fields(dashboard, panel, known)]
    return found


def _colours(dashboard: Json, panel: Json) -> Iterator[str]:
    place = where(dashboard, panel)
    defaults = panel.get("fieldConfig", {}).get("defaults", {})
    mode = defaults.get("color", {}).get("mode", "thresholds" if panel["type"] in OF_ONE_MOMENT else "palette-classic")
    scheme = panel.get("options", {}).get("color", {}).get("scheme", "")
    for palette in (mode, scheme):
        if panel["type"] not in ("table", "text", "nodeGraph", "state-timeline", "heatmap") and RAINBOW.match(palette):
            yield f"{place}: the palette {palette} has green, amber and red, which are for status"
    if panel["type"] == "heatmap" and RAINBOW.match(scheme):
        yield f"{place}: the palette {scheme} has green, amber and red, which are for status"
    fixed = defaults.get("color", {}).get("fixedColor", "")
    if mode in ("fixed", "shades") and is_status_colour(fixed):
        yield f"{place}: {fixed} is for status, and here it is the colour of everything"
    if mode == "thresholds" and panel["type"] in ("stat", "gauge", "bargauge") and "thresholds" not in defaults:
        yield f"{place}: it has no thresholds, and Grafana's own are green and red"
    yield from _override_colours(panel, place)


def _override_colours(panel: Json, place: str) -> Iterator[str]:
    overrides = panel.get("fieldConfig", {}).get("overrides", [])
    by_status = sum(override["matcher"].get("options") in STATUS_NAMES for override in overrides) > 1
    for override in overrides:
        name = str(override["matcher"].get("options", ""))
        for prop in override["properties"]:
            colour = prop["value"].get("fixedColor", "") if prop["id"] == "color" else ""
            if is_status_colour(colour) and name not in GRADED:
                yield f"{place}: {name} is {colour}, a colour for status"
            if by_status and name in STATUS_NAMES and STATUS_NAMES[name] not in colour and colour:
                yield f"{place}: {name} is {colour}, and is {STATUS_NAMES[name]} everywhere"


def is_status_colour(colour: str) -> bool:
    """Whether people would read it as good, suspicious or bad: by its name, or by its hue."""
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", colour):
        return bool(STATUS_COLOUR.match(colour))
    hue, _, saturation = colorsys.rgb_to_hls(*(int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)))
    return saturation > FAINT and not BLUE_FROM < hue < BLUE_TO


def _thresholds(dashboard: Json, panel: Json) -> Iterator[str]:
    """Where ages are coloured, amber and red begin where the configuration has them."""
    asked = " ".join(target.get("expr", "") for target in panel.get("targets") or [])
    for name, value in field_properties(panel):
        if name != "thresholds" or AGE not in asked:
            continue
        steps = value.get("steps", [])
        if [step.get("value") for step in steps] != AGE_STEPS and any(
            is_status_colour(step.get("color", "")) for step in steps[1:]
        ):
            yield (
                f"{where(dashboard, panel)}: its thresholds are {[step.get('value') for step in steps][1:]}, "
                f"and config.yaml has {AGE_STEPS[1:]} seconds"
            )


def _mappings(dashboard: Json, panel: Json) -> Iterator[str]:
    place = where(dashboard, panel)
    maps = [entry for name, value in field_properties(panel) if name == "mappings" for entry in value or []]
    shown = [result for entry in maps if entry["type"] == "value" for result in entry["options"].items()]
    for value, result in shown:
        word = str(result.get("text", value))
        expected = STATUS_NAMES.get(word)
        if expected and expected not in result.get("color", ""):
            yield f"{place}: {word} is shown in {result.get('color')}, and is {expected} everywhere"
    if panel["type"] in ("state-timeline", "status-history"):
        asked = " ".join(target.get("expr", "") for target in panel.get("targets") or [])
        words = {str(result.get("text", value)) for value, result in shown}
        for metric, label in (("aurora_node_status{", "status"), ("aurora_node_lifecycle{", "lifecycle")):
            for missing in sorted(VALUES[label] - {word.replace(" ", "_") for word in words}):
                if metric in asked:
                    yield f"{place}: it shows each {label}, and has no text and colour for {missing}"
        if not shown:
            yield f"{place}: a state timeline without value mappings shows bare numbers"


def _queries(dashboard: Json, panel: Json) -> Iterator[str]:
    for target in panel.get("targets") or []:
        place = where(dashboard, panel, target.get("refId", "?"))
        instant, over = bool(target.get("instant")), bool(target.get("range"))
        text = target.get("expr", "")
        if instant == over:
            yield f"{place}: it must be either instant or over a range"
        if instant and panel["type"] in OVER_TIME:
            yield f"{place}: it is of one moment, and the panel shows a history"
        if over and panel["type"] in ("table", "nodeGraph", "piechart"):
            yield f"{place}: it is a history, and the panel shows one moment"
        if panel["type"] in ("table", "nodeGraph") and target.get("format") != "table":
            yield f"{place}: a table needs the format table, or each series is a frame of its own"
        if panel["type"] == "heatmap" and "_bucket" in text and target.get("format") != "heatmap":
            yield f"{place}: buckets need the format heatmap, or they are drawn cumulatively"
        if "sum_over_time" in text and "$__interval" in text:
            yield f"{place}: a sum over $__interval changes with the width of the panel"


def _node_graph(dashboard: Json, panel: Json, known: Known) -> Iterator[str]:
    """The panel finds fields by their real names: labels, or what a calculation is called; renaming does not count."""
    if panel["type"] != "nodeGraph":
        return
    asked = {target["refId"]: text_of(dashboard, panel, target) for target in panel.get("targets") or []}
    for ref_id, wanted in GRAPH_FIELDS.items():
        if ref_id not in asked:
            yield f"{where(dashboard, panel)}: a node graph needs a query called {ref_id}"
            continue
        for name in sorted(wanted - read(asked[ref_id], known).labels):
            yield f"{where(dashboard, panel, ref_id)}: its query gives no field {name}"
    made = {change.get("options", {}).get("alias") for change in panel.get("transformations") or []}
    for name in sorted({f"arc__{status}" for status in STATUS_NAMES} - made):
        yield f"{where(dashboard, panel)}: no calculation makes the field {name}"


def _legend(dashboard: Json, panel: Json) -> Iterator[str]:
    if panel["type"] not in LEGENDS and panel["type"] != "state-timeline":
        return
    place = where(dashboard, panel)
    legend = panel.get("options", {}).get("legend", {})
    if panel["type"] in ("timeseries", "barchart") and not legend.get("showLegend"):
        yield f"{place}: it has no legend"
    for target in panel.get("targets") or []:
        if target.get("format") != "table" and not target.get("legendFormat"):
            yield f"{place}, {target.get('refId')}: without a legendFormat its series are named by their labels"
        if "__auto" in str(target.get("legendFormat")):
            yield f"{place}, {target.get('refId')}: the legend __auto shows all labels"


def _fields(dashboard: Json, panel: Json, known: Known) -> Iterator[str]:
    """Overrides, transformations and legends name only what the queries give."""
    place = where(dashboard, panel)
    for target in panel.get("targets") or []:
        labels = read(text_of(dashboard, panel, target), known).labels
        for label in re.findall(r"\{\{\s*(\w+)\s*\}\}", str(target.get("legendFormat", ""))):
            if label not in labels:
                yield f"{place}, {target['refId']}: its legend names {label}, a label that the query does not give"
    names = field_names(dashboard, panel, known)
    if names is None:
        return
    yield from _matchers(panel, names, place)
    for transformation in panel.get("transformations") or []:
        for name in _named_by(transformation):
            if name not in names:
                yield f"{place}: {transformation['id']} names the field {name!r}, which the queries do not give"


def _matchers(panel: Json, names: set[str], place: str) -> Iterator[str]:
    for override in panel.get("fieldConfig", {}).get("overrides", []):
        matcher = override["matcher"]
        name = matcher.get("options")
        if matcher["id"] == "byName" and name not in names:
            yield f"{place}: an override is for the field {name!r}, which the queries do not give"
        if matcher["id"] == "byRegexp" and not any(re.search(str(name).strip("/"), one) for one in names):
            yield f"{place}: an override is for fields like {name!r}, and there are none"
        refs = {target.get("refId") for target in panel.get("targets") or []}
        if matcher["id"] == "byFrameRefID" and name not in refs:
            yield f"{place}: an override is for the query {name!r}, which is not there"


def field_names(dashboard: Json, panel: Json, known: Known) -> set[str] | None:
    """What fields of the panel may be called, before and after its transformations; None where data decide that."""
    names = {"Time", "Value"}
    targets = panel.get("targets") or []
    for target in targets:
        labels = read(text_of(dashboard, panel, target), known).labels
        legend = str(target.get("legendFormat") or "")
        if target.get("format") == "table":
            names |= {*labels, "Value", f"Value #{target.get('refId')}"}
            continue
        found = _legends(legend)
        if found is None:
            return None
        names |= found
    for transformation in panel.get("transformations") or []:
        options = transformation.get("options", {})
        if transformation["id"] in ("rowsToFields", "groupingToMatrix", "labelsToFields", "reduce"):
            return None
        names |= {str(new) for new in options.get("renameByName", {}).values()}
        if options.get("alias"):
            names.add(options["alias"])
        if transformation["id"] == "groupBy":
            for name, how in options.get("fields", {}).items():
                names |= {f"{name} ({kind})" for kind in how.get("aggregations", [])}
    return names


def _legends(legend: str) -> set[str] | None:
    """All names that a legend can make, where the values of its labels are known."""
    found = re.findall(r"\{\{\s*(\w+)\s*\}\}", legend)
    if any(label not in VALUES for label in found):
        return None
    names = {legend}
    for label in found:
        names = {re.sub(r"\{\{\s*" + label + r"\s*\}\}", value, name) for name in names for value in VALUES[label]}
    return names


def _named_by(transformation: Json) -> Iterator[str]:
    options = transformation.get("options", {})
    for key in ("excludeByName", "indexByName", "renameByName", "includeByName"):
        yield from options.get(key, {})
    if transformation["id"] == "joinByField" and "byField" in options:
        yield options["byField"]
    if transformation["id"] == "calculateField":
        binary = options.get("binary", {})
        for side in (binary.get("left"), binary.get("right")):
            name = side.get("matcher", {}).get("options") if isinstance(side, dict) else side
            if name and not str(name).replace(".", "", 1).lstrip("-").isdecimal():
                yield str(name)
        yield from options.get("reduce", {}).get("include", [])
    for sort in options.get("sort", []) if transformation["id"] == "sortBy" else []:
        yield sort["field"]
    if transformation["id"] in ("groupBy", "convertFieldType"):
        fields = options.get("fields", {})
        yield from fields if isinstance(fields, dict) else ()
        yield from (change["targetField"] for change in options.get("conversions", []))


OTHERS = {"rYdddlPWk": "Node Exporter Full, 1860", "Oxed_c6Wz": "NVIDIA DCGM Exporter Dashboard, 12239"}
"""Dashboards of other projects at grafana.com that ours link to, by uid: their title and number there."""


def _links(dashboard: Json, targets: Mapping[str, Json]) -> Iterator[str]:
    for place, link in _all_links(dashboard):
        url = str(link.get("url", ""))
        if url.startswith("/d/"):
            match = _DASHBOARD.match(url)
            if match is not None and match["uid"] in OTHERS:
                continue
            if match is None or match["uid"] not in targets:
                yield f"{place}: the link {url} leads to no dashboard"
                continue
            there = {variable["name"] for variable in variables(targets[match["uid"]])}
            for name in sorted(set(_FILLED.findall(match["query"] or "")) - there):
                yield f"{place}: the link {url} fills in the variable {name}, which is not there"
            passed = variables_in(match["query"] or "") | set(_FILLED.findall(match["query"] or ""))
            if "__url_time_range" not in passed and not link.get("keepTime"):
                yield f"{place}: the link {url} loses the time range: add ${{__url_time_range}}"
        elif not url.startswith(("https://", "${__", "/")) and link.get("type") != "dashboards":
            yield f"{place}: the link {url!r} leads nowhere"
    if dashboard.get("links") == []:
        yield f"{where(dashboard)}: no link leads from it to the other dashboards"


def _all_links(dashboard: Json) -> Iterator[tuple[str, Json]]:
    for link in dashboard.get("links", []):
        yield where(dashboard, detail=f"link {link.get('title')!r}"), link
    for panel in panels(dashboard):
        for link in panel.get("links") or []:
            yield where(dashboard, panel), link
        for name, value in field_properties(panel):
            if name == "links":
                yield from ((where(dashboard, panel), link) for link in value or [])
