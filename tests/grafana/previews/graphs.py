"""The node graph: nodes on rings around the one that most edges touch."""

from __future__ import annotations

import math
from collections import Counter

from tests.grafana.previews.drawing import FAINT, TEXT, Canvas, fitting, label, svg
from tests.support.grafana_data import Field, Frame

RING = 14
RADIUS = 30.0
SMALL = 20.0
FEW = 20  # up to so many nodes, what stands on edges and in nodes can be read

Spot = tuple[float, float]


def node_graph(canvas: Canvas) -> str:
    """Both frames of the panel, or that there is nothing."""
    edges = next((frame for frame in canvas.shown.frames if _column(frame, "source")), None)
    nodes = next((frame for frame in canvas.shown.frames if frame is not edges), None)
    ids = _column(nodes, "id") if nodes else None
    if nodes is None or ids is None:
        return canvas.empty
    ends = _ends(edges, ids)
    places = _places(list(ids.values), ends, canvas)
    said: dict[frozenset[str], list[str]] = {}
    for index, pair in enumerate(ends):
        said.setdefault(frozenset(pair), []).append(_text(edges, "mainstat", index))
    parts = []
    for source, target in dict.fromkeys(tuple(sorted(pair, key=list(places).index)) for pair in ends):
        texts = dict.fromkeys(said[frozenset((source, target))])
        text = ", ".join(filter(None, texts)) if len(places) <= FEW else ""
        parts.append(_edge(places[source], places[target], text))
    size = RADIUS if len(places) <= FEW else SMALL
    parts += [_node(canvas, nodes, row, place, size) for row, place in enumerate(places.values())]
    return svg(canvas.width, canvas.height, *parts)


def _column(frame: Frame, name: str) -> Field | None:
    return next((field for field in frame.fields if field.name.lower() == name), None)


def _text(frame: Frame | None, name: str, row: int) -> str:
    field = _column(frame, name) if frame else None
    return field.cells[row].text if field else ""


def _ends(edges: Frame | None, known: Field) -> list[tuple[str, str]]:
    source, target = (_column(edges, name) if edges else None for name in ("source", "target"))
    pairs = zip(source.values, target.values, strict=True) if source and target else ()
    return [pair for pair in pairs if {*pair} <= {*known.values}]


def _places(names: list[str], ends: list[tuple[str, str]], canvas: Canvas) -> dict[str, Spot]:
    touched = Counter(name for pair in ends for name in pair)
    hub = max(names, key=lambda name: touched[name], default=None)
    around = [name for name in names if name != hub]
    rings = math.ceil(len(around) / RING) or 1
    places: dict[str, Spot] = {}
    for name in names:
        if name == hub:
            places[name] = (canvas.width / 2, canvas.height / 2 - 10)
            continue
        slot, ring = divmod(around.index(name), rings)
        slots = len(range(ring, len(around), rings))
        reach = 1 - 0.64 * ring / rings
        angle = -math.pi / 2 + 2 * math.pi * (slot + ring / rings) / slots
        places[name] = (
            canvas.width / 2 + math.cos(angle) * (canvas.width / 2 - 90) * reach,
            canvas.height / 2 - 10 + math.sin(angle) * (canvas.height / 2 - 66) * reach,
        )
    return places


def _edge(start: Spot, end: Spot, text: str) -> str:
    (x1, y1), (x2, y2) = start, end
    line = f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#4a4d57" stroke-width="1.2"/>'
    return line + label(x1 + (x2 - x1) * 0.6, y1 + (y2 - y1) * 0.6 - 3, text, size=10, anchor="middle")


def _arc_color(canvas: Canvas, arc: Field) -> str:
    chosen = {one["field"]: one["color"] for one in canvas.options.get("nodes", {}).get("arcs", [])}
    own = arc.config.get("color", {}).get("fixedColor", arc.color or FAINT)
    return canvas.color(chosen.get(arc.name, own))


def _node(canvas: Canvas, nodes: Frame, row: int, place: Spot, size: float) -> str:
    x, y = place
    arcs = [field for field in nodes.fields if field.name.lower().startswith("arc__")]
    parts = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size}" fill="#181b1f"/>']
    at = -0.25
    length = 2 * math.pi * size
    for arc in arcs:
        share = arc.values[row] or 0
        color = _arc_color(canvas, arc)
        if share:
            parts.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size}" fill="none" stroke="{color}" stroke-width="4" '
                f'stroke-dasharray="{share * length:.1f} {length:.1f}" '
                f'transform="rotate({at * 360:.1f} {x:.1f} {y:.1f})"/>'
            )
        at += share
    if not arcs:
        own = _column(nodes, "color")
        color = (own.cells[row].color if own else None) or FAINT
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size}" fill="none" stroke="{color}" stroke-width="4"/>')
    main, second = _text(nodes, "mainstat", row), _text(nodes, "secondarystat", row) if size > SMALL else ""
    parts += [
        label(
            x,
            y + (-1 if second else 4),
            fitting(main, size * 1.8, 0.37 * size),
            size=0.37 * size,
            color=TEXT,
            anchor="middle",
        ),
        label(x, y + 12, fitting(second, size * 1.7, 10), size=10, anchor="middle"),
        label(x, y + size + 17, _text(nodes, "title", row) or _text(nodes, "id", row), color=TEXT, anchor="middle"),
        label(x, y + size + 31, _text(nodes, "subtitle", row), size=11, anchor="middle"),
    ]
    return "".join(parts)
