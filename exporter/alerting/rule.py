"""Rules as text: YAML that people read, with its comments."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field

WIDTH = 120
_RULE = 6 * " "
_ACTION = re.compile(r"{{.*?}}")
_SPACE = "\x00"


@dataclass(frozen=True, slots=True)
class AlertingRule:
    """One alerting rule; `wait` and `keep` are durations as Prometheus writes them, empty for none."""

    name: str
    expr: str
    severity: str
    summary: str
    description: str
    wait: str = ""
    keep: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    why: str = ""
    """The comment above it."""

    def text(self, runbooks: str) -> str:
        """The rule in YAML, as an item of `rules`."""
        lines = [*_comment(self.why, _RULE), f"{_RULE}- alert: {self.name}", *_expression(self.expr)]
        lines += [
            f"{_RULE}  {key}: {value}" for key, value in (("for", self.wait), ("keep_firing_for", self.keep)) if value
        ]
        lines += [f"{_RULE}  labels:"]
        lines += [
            f"{_RULE}    {key}: {_scalar(value)}" for key, value in {"severity": self.severity, **self.labels}.items()
        ]
        lines += [f"{_RULE}  annotations:", f"{_RULE}    summary: {_scalar(self.summary)}"]
        lines += [f"{_RULE}    description: >-", *_wrapped(self.description, f"{_RULE}      ")]
        lines += [f"{_RULE}    runbook_url: {runbooks}{self.name}.md"]
        return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class RecordingRule:
    """One recording rule, named `level:metric:operation`."""

    name: str
    expr: str
    why: str = ""

    def text(self, _runbooks: str) -> str:
        """The rule in YAML, as an item of `rules`."""
        return "\n".join([*_comment(self.why, _RULE), f"{_RULE}- record: {self.name}", *_expression(self.expr)]) + "\n"


def file(head: str, group: str, rules: Sequence[AlertingRule | RecordingRule], runbooks: str) -> str:
    """A whole rule file of one group; `head` is its opening comment, lines as they stand."""
    opening = "".join(f"# {line}".rstrip() + "\n" for line in head.strip().splitlines())
    body = "\n".join(rule.text(runbooks) for rule in rules)
    return f"{opening}groups:\n  - name: {group}\n    rules:\n{body}"


def block(text: str) -> str:
    """PromQL as it is written in this package's modules, without their indentation."""
    return textwrap.dedent(text).strip("\n")


def indented(text: str, spaces: int) -> str:
    """PromQL, so many columns further in."""
    return textwrap.indent(text, spaces * " ")


def _expression(expr: str) -> list[str]:
    if "\n" not in expr and "#" not in expr:
        return [f"{_RULE}  expr: {expr}"]
    return [f"{_RULE}  expr: |", *textwrap.indent(expr, f"{_RULE}    ").splitlines()]


def _scalar(text: str) -> str:
    return f"'{text}'" if text.startswith("{{") or ": " in text else text


def _comment(text: str, indent: str) -> list[str]:
    return _wrapped(text, f"{indent}# ") if text else []


def _wrapped(text: str, indent: str) -> list[str]:
    # An action of a template stays on one line.
    unbroken = _ACTION.sub(lambda action: action[0].replace(" ", _SPACE), text)
    lines = textwrap.wrap(
        unbroken, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return [line.replace(_SPACE, " ") for line in lines]
