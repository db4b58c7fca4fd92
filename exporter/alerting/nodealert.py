"""What every alert about a node is made of: its condition, planned work, what suppresses it, labels for routing."""

from __future__ import annotations

from collections.abc import Sequence

from exporter.alerting.parameters import NON_PRODUCTION
from exporter.alerting.rule import AlertingRule, RecordingRule, block, indented

NON_PRODUCTION_PATTERN = f"^({'|'.join(NON_PRODUCTION)})$"
"""Environments in which nothing pages; a node that states none is in production."""
SCRAPED = "job, instance"
HELD = "instance_node:aurora_node_status_held:true"
MISSING = "instance_node:aurora_node_status:missing"
OUT_OF_SERVICE = "instance_node:aurora_node_lifecycle:out_of_service"
"""Only the series that matter: a healthy mesh has none, so that they cost nothing."""
PLANNED = "node:aurora_node_lifecycle:planned"
FROZEN = "node:aurora_node_status_held:frozen"
DISRUPTED = "node:aurora_node_disruption_start_timestamp_seconds:max"
RENAMED = "max by (node) (aurora_node_renamed_info)"
LABELS = "node:aurora_node_info:topk"
NodeAlert = tuple[RecordingRule, AlertingRule]
"""Its condition, recorded, and the alert."""


def about(
    name: str,
    condition: str,
    *,
    severity: str,
    summary: str,
    description: str,
    why: str = "",
    wait: str = "",
    keep: str = "",
    planned: str = PLANNED,
    suppressed: str = "",
) -> NodeAlert:
    """A node alert: its condition by node, and all that each of them has. `suppressed`: nodes it does not begin for."""
    recorded = RecordingRule(f"node:{name}:condition", condition)
    parts = [indented(recorded.name, 4)]
    if planned:
        parts.append(f"  unless on (node)\n{indented(planned, 4)}")
    if suppressed:
        firing = f'ALERTS{{alertname="{name}", alertstate="firing"}}'
        begun = f"{indented(grouped(suppressed), 8)}\n      unless on (node)\n        {firing}"
        parts.append(f"  unless on (node)\n    (\n{begun}\n    )")
    fresh = "(\n" + "\n".join(parts) + f"\n)\n* on (node) group_left (role, environment, site)\n{LABELS}"
    kept = block(f"""
        or
        0 * (
            max without (alertname, alertstate, severity) (ALERTS{{alertname="{name}", alertstate="firing"}})
          and on (node)
            {FROZEN}
        )
    """)
    if planned:
        kept = kept.replace(f"    {FROZEN}", f"    {FROZEN}\n  unless on (node)\n{indented(planned, 4)}")
    return recorded, AlertingRule(
        name,
        f"{fresh}\n{kept}",
        severity=severity,
        summary=summary,
        description=description,
        why=why,
        wait=wait,
        keep=keep,
    )


def grouped(expr: str) -> str:
    """In parentheses where a set operator after it would take its last part alone."""
    return f"(\n{indented(expr, 2)}\n)" if "\nor\n" in expr else expr


def labels(conditions: Sequence[RecordingRule]) -> RecordingRule:
    """Labels for routing, of the nodes of which some condition holds."""
    anywhere = "\nor on (node)\n".join(condition.name for condition in conditions)
    return RecordingRule(
        LABELS,
        block("""
            topk by (node) (1,
              max by (node, role, environment, site) (
                  aurora_node_info
                and on (node)
                  (
            @
                  )
              )
            )
        """).replace("@", indented(anywhere, 8)),
        why="Once for all alerts, and of those nodes only that one of them may be about.",
    )


def routed(severity: str) -> str:
    """The severity, but info in environments for testing."""
    # Not by a regular expression: it would be compiled for every alert at every evaluation.
    names = " ".join(f'"{name}"' for name in NON_PRODUCTION)
    return f"{{{{ if eq $labels.environment {names} }}}}info{{{{ else }}}}{severity}{{{{ end }}}}"


def received(by: str, expr: str, *, compared: str = "") -> str:
    """The expression of nodes that are active and whose heartbeats are received. `compared`: what their maximum is."""
    return block(f"""
        max by ({by}) (
            @
          unless on ({SCRAPED}, node)
            {MISSING}
          unless on ({SCRAPED}, node)
            {HELD}
        )
    """).replace("@", expr) + (f" {compared}" if compared else "")
