"""What an expression asks for, read from its syntax tree: metrics, labels, and whether its joins hold."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import promql_parser as promql

from exporter.domain.lifecycle import Phase
from exporter.domain.status import Status, Transport
from exporter.telemetry.reasons import Notification, Rejection

VALUES: dict[str, frozenset[str]] = {
    "status": frozenset(Status),
    "lifecycle": frozenset(Phase),
    "transport": frozenset(Transport),
    "reason": frozenset(Rejection),
    "outcome": frozenset(Notification),
    "alertstate": frozenset({"pending", "firing"}),
}
"""Labels whose values are known; a matcher for another value finds nothing."""
PLACEHOLDERS = {
    "__rate_interval": "61s",
    "__interval": "15s",
    "__range": "3601s",
    "__range_s": "3600",
    "__interval_ms": "15000",
    "__range_ms": "3600000",
    "__from": "1",
    "__to": "2",
}
SHOWN_TIMES = (timedelta(seconds=61), timedelta(seconds=3601))
"""How $__rate_interval and $__range come out of the placeholders, which nobody would write by hand."""
_VARIABLE = re.compile(r"\$(?:\{(?P<braced>[a-z_]\w*)(?::\w+)?\}|(?P<bare>[a-z_]\w*))")
_SETS = ("and", "or", "unless")
_PICKING = ("topk", "bottomk")
_KEEPING = (*_PICKING, "limitk", "limit_ratio")
_COUNTERS = ("rate", "irate", "increase", "resets")
_REPLICATED = re.compile(r"aurora_(node|mesh|site|topology)_")
"""Families that each registry exposes in full, so that two registries expose them twice."""
_ADDING = ("sum", "count", "count_values")


def variables_in(text: str) -> set[str]:
    """The names of the variables in a text, Grafana's own included."""
    return {match["braced"] or match["bare"] for match in _VARIABLE.finditer(text)}


def substituted(text: str, values: Mapping[str, str] | None = None) -> str:
    """The text with its variables filled in; one without a value becomes `.+`, which is what `All` sends."""
    known = {**PLACEHOLDERS, **(values or {})}
    return _VARIABLE.sub(lambda match: known.get(match["braced"] or match["bare"], ".+"), text)


@dataclass
class Reading:
    """What was found in one expression."""

    metrics: set[str] = field(default_factory=set)
    selectors: list[promql.VectorSelector] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    ranges: list[tuple[str, timedelta]] = field(default_factory=list)
    """Over which time each function of a counter goes."""
    labels: frozenset[str] = frozenset()
    """What its series may bear."""
    doubled: bool = False
    """Whether what each registry exposes of the mesh is there once for every registry."""


@dataclass(frozen=True)
class _Vector:
    labels: frozenset[str]
    pinned: frozenset[str] = frozenset()
    """Labels that have the same value on all series."""
    picked: frozenset[str] | None = None
    """At most one series for each value of these, by topk or bottomk."""
    metrics: frozenset[str] = frozenset()
    scalar: bool = False

    def one_for_each(self, labels: frozenset[str]) -> bool:
        return self.labels - self.pinned <= labels or (self.picked is not None and self.picked <= labels)


_SCALAR = _Vector(frozenset(), scalar=True)


def read(text: str, known: Mapping[str, frozenset[str]]) -> Reading:
    """Read an expression with its variables in it; `known`: the labels of each metric that there is."""
    reading = Reading()
    try:
        tree = promql.parse(substituted(text))
    except ValueError as error:
        reading.problems.append(f"is no PromQL: {error}")
        return reading
    walk = _Walk(reading, known)
    top = walk.vector(tree)
    reading.labels = top.labels
    reading.doubled = "instance" in top.labels and any(map(_REPLICATED.match, top.metrics))
    return reading


class _Walk:
    def __init__(self, reading: Reading, known: Mapping[str, frozenset[str]]) -> None:
        self._reading = reading
        self._known = known

    def vector(self, tree: promql.Expr, inside: str = "") -> _Vector:  # noqa: PLR0911 - one for each kind of node
        """The form of what the tree gives. `inside`: the function that takes it as a range."""
        match tree:
            case promql.VectorSelector():
                return self._selector(tree, inside)
            case promql.MatrixSelector():
                if inside in _COUNTERS:
                    self._reading.ranges.append((inside, tree.range))
                return self._selector(tree.vector_selector, inside)
            case promql.ParenExpr() | promql.UnaryExpr():
                return self.vector(tree.expr, inside)
            case promql.SubqueryExpr():
                return self.vector(tree.expr)
            case promql.AggregateExpr():
                return self._aggregate(tree)
            case promql.BinaryExpr():
                return self._binary(tree)
            case promql.Call():
                return self._call(tree)
        return _SCALAR

    def _say(self, problem: str) -> None:
        self._reading.problems.append(problem)

    def _selector(self, tree: promql.VectorSelector, inside: str) -> _Vector:
        matchers = tree.matchers.matchers
        name = tree.name or next((matcher.value for matcher in matchers if matcher.name == "__name__"), "")
        self._reading.metrics.add(name)
        self._reading.selectors.append(tree)
        if name not in self._known:
            self._say(f"names the metric {name}, which nobody exposes")
        labels = self._known.get(name, frozenset())
        for matcher in matchers:
            if name in self._known and matcher.name not in {*labels, "__name__"}:
                self._say(f"matches {matcher.name}, a label that {name} does not have")
            fixed = matcher.op in (promql.MatchOp.Equal, promql.MatchOp.NotEqual)
            if fixed and matcher.value and matcher.value not in VALUES.get(matcher.name, {matcher.value, ".+"}):
                self._say(f"matches {matcher.name}={matcher.value!r}, a value that {matcher.name} never has")
        counter = name.endswith(("_total", "_bucket", "_count", "_sum"))
        if counter and inside not in _COUNTERS:
            self._say(f"takes the counter {name} without rate, irate or increase")
        if not counter and inside in _COUNTERS:
            self._say(f"takes {inside} of {name}, which is no counter")
        pinned = frozenset(matcher.name for matcher in matchers if matcher.op == promql.MatchOp.Equal)
        return _Vector(labels, pinned & labels, metrics=frozenset({name}))

    def _aggregate(self, tree: promql.AggregateExpr) -> _Vector:
        inner = self.vector(tree.expr)
        if tree.param is not None and not isinstance(tree.param, promql.StringLiteral):
            self.vector(tree.param)
        named = frozenset(tree.modifier.labels if tree.modifier else ())
        without = tree.modifier is not None and tree.modifier.type == promql.AggModifierType.Without
        self._exist(named, inner.labels, f"{tree.op} {'without' if without else 'by'}")
        operator = str(tree.op)
        kept = inner.labels - named if without else inner.labels & named
        if operator in _ADDING and "instance" in inner.labels - kept and "instance" not in inner.pinned:
            again = sorted(name for name in inner.metrics if _REPLICATED.match(name))
            if again:
                self._say(f"{operator} counts {again[0]} once for every registry: take max by (...) of it first")
        if operator in _KEEPING:
            one = operator in _PICKING and isinstance(tree.param, promql.NumberLiteral) and tree.param.val == 1
            return _Vector(inner.labels, inner.pinned, kept if one else inner.picked, inner.metrics)
        if operator == "count_values" and isinstance(tree.param, promql.StringLiteral):
            kept |= {tree.param.val}
        return _Vector(kept, inner.pinned & kept, metrics=inner.metrics)

    def _binary(self, tree: promql.BinaryExpr) -> _Vector:
        left, right = self.vector(tree.lhs), self.vector(tree.rhs)
        if left.scalar or right.scalar:
            return right if left.scalar else left
        modifier = tree.modifier
        matching = modifier.matching if modifier else None
        metrics = left.metrics | right.metrics
        both = left.labels | right.labels
        on = matching is not None and matching.type == promql.LabelModifierType.Include
        named = frozenset(matching.labels if matching else ())
        by = named if on else both - named
        if on:
            self._exist(named, left.labels, f"left of {tree.op} on")
            self._exist(named, right.labels, f"right of {tree.op} on")
        if str(tree.op) in _SETS:
            if str(tree.op) == "or":
                picked = by if left.one_for_each(by) and right.one_for_each(by) else None
                return _Vector(both, left.pinned & right.pinned, picked, metrics)
            return _Vector(left.labels, left.pinned, left.picked, left.metrics)
        card = modifier.card if modifier else promql.VectorMatchCardinality.OneToOne
        extra = frozenset((modifier.group_labels or ()) if modifier else ())
        if card == promql.VectorMatchCardinality.ManyToOne:
            return self._grouped(left, right, by, extra, metrics)
        if card == promql.VectorMatchCardinality.OneToMany:
            return self._grouped(right, left, by, extra, metrics)
        for side, name in ((left, "left"), (right, "right")):
            if not side.one_for_each(by):
                self._say(f"the {name} side of {tree.op} may have several series for one {_listed(by)}: the join fails")
        kept = left.labels & named if on else left.labels - named
        return _Vector(kept, left.pinned & kept, metrics=metrics)

    def _grouped(
        self, many: _Vector, one: _Vector, by: frozenset[str], extra: frozenset[str], metrics: frozenset[str]
    ) -> _Vector:
        self._exist(extra, one.labels, "the group modifier")
        if not one.one_for_each(by):
            self._say(
                f"registries that disagree make several series for one {_listed(by)}, and the join fails: "
                "use topk by (...) (1, max by (...) (...))"
            )
        return _Vector(many.labels | extra, many.pinned, many.picked, metrics)

    def _call(self, tree: promql.Call) -> _Vector:
        name = tree.func.name
        vectors = [self.vector(argument, name) for argument in tree.args]
        texts = [argument.val for argument in tree.args if isinstance(argument, promql.StringLiteral)]
        inner = next((vector for vector in vectors if not vector.scalar), None)
        if name in ("vector", "absent", "absent_over_time") or (inner is None and name not in ("time", "pi")):
            labels = inner.pinned if inner is not None and name.startswith("absent") else frozenset()
            return _Vector(labels, labels)
        if inner is None or name == "scalar":
            return _SCALAR
        if name in ("label_replace", "label_join"):
            target, sources = (texts[0], texts[2:3]) if name == "label_replace" else (texts[0], texts[2:])
            self._exist(frozenset(sources) - {""}, inner.labels, name)
            constant = name == "label_replace" and "$" not in texts[1]
            pinned = (
                (inner.pinned | {target}) if constant and texts[3] in ("", ".*", "(.*)") else inner.pinned - {target}
            )
            return _Vector(inner.labels | {target}, pinned, _renamed(inner.picked, target, texts), inner.metrics)
        if name == "histogram_quantile":
            return _Vector(inner.labels - {"le"}, inner.pinned - {"le"}, metrics=inner.metrics)
        return inner

    def _exist(self, wanted: frozenset[str], labels: frozenset[str], where: str) -> None:
        for label in sorted(wanted - labels):
            self._say(f"{where} names the label {label}, which its series do not have")


def _renamed(picked: frozenset[str] | None, target: str, texts: list[str]) -> frozenset[str] | None:
    """What distinguishes series once a label is made: a whole copy of a label does so as well as the label itself."""
    if picked is not None and texts[1:2] == ["$1"] and texts[3:] == ["(.*)"] and set(texts[2:3]) <= picked:
        return picked - {texts[2]} | {target}
    return None if picked is None or target in picked else picked


def _listed(labels: frozenset[str]) -> str:
    return ", ".join(sorted(labels)) or "whole"
