"""Mesh overview: is all well, and if not, what is wrong?"""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.source import ask, charts, look, panels
from grafana.source.page import NODE_LINK, Page
from grafana.source.promql import (
    NOT_ACTIVE,
    grown,
    most,
    of,
    planned,
    status_code,
    whole,
    with_facts,
)

FIRING = 'ALERTS{alertstate="firing", alertname=~"Aurora.+", alertname!="AuroraWatchdog"}'
GRAVITY = ('severity="info"', 'severity="warning"', 'severity="critical", node!=""', 'severity="critical", node=""')
"""Which alerts come first, last to first: the gravest, and those that stand for many before those of a node."""
VERDICTS = look.mapping(
    {
        1: ("All right", look.GOOD),
        2: ("Nodes in warning", look.SUSPICIOUS),
        3: ("Nodes offline", look.BAD),
        4: ("Site disrupted", look.BAD),
        5: ("Suspect our own network", look.HELD),
        6: ("Cannot hear nodes", look.HELD),
    }
)


def page() -> Dashboard:
    """The dashboard."""
    return (
        Page("aurora-mesh", "Aurora / Mesh overview", "Is the mesh all right, and if not, what is wrong?")
        .choice("shown", "Timeline shows", [("nodes that were silent", ">= 1"), ("every node", ">= 0")])
        .row(4, *_first_look())
        .heading("What is wrong")
        .row(8, (_silent(), 14), (_alerts(), 10))
        .heading("How it came about")
        .row(11, (_timeline(), 16), (_statuses(), 8))
        .row(8, (_sites(), 8), (_changed(), 8), (_transitions(), 8))
        .heading("Who is there")
        .row(8, (_by("role", "aurora_mesh_nodes"), 8), (_by("site", "aurora_site_nodes"), 8), (_gpus(), 8))
        .build()
    )


def _first_look() -> list[tuple[Any, int]]:
    verdict = f"""max(
    (
{status_code()}
      unless on (node)
        {planned()}
    )
  or
    ({most("aurora_site_disrupted", "site")} == 1) * 4
  or
    ({most("aurora_registry_mesh_suspect", "instance")} == 1) * 5
  or
    (min({of("aurora_registry_blind")}) == 1) * 6
)"""
    counts = [
        (
            panels.number(
                title,
                description,
                ask.now(whole("aurora_mesh_nodes", *where)),
                colour=colour,
                none="0",
            ),
            3,
        )
        for title, description, where, colour in (
            ("Nodes", "Registered nodes, whatever their status.", (), look.PLAIN),
            ("Active", "Nodes heard within the last two minutes.", ('status="active"',), look.GOOD),
            (
                "Warning",
                "Nodes that have been silent for two to five minutes.",
                ('status="warning"',),
                look.steps(look.PLAIN, (1, look.SUSPICIOUS)),
            ),
            (
                "Offline",
                "Nodes that have been silent for longer than five minutes.",
                ('status="offline"',),
                look.steps(look.PLAIN, (1, look.BAD)),
            ),
        )
    ]
    return [
        (
            panels.number(
                "Is the mesh all right?",
                "The worst that holds now. Nodes in maintenance and draining do not count, and where no registry can"
                " hear the nodes, their silence says nothing.",
                ask.now(verdict),
                mappings=[VERDICTS],
                none="No registry",
            ),
            6,
        ),
        *counts,
        (
            panels.number(
                "Planned work",
                "Nodes in maintenance, draining or asleep. They keep their status, and alert nobody.",
                ask.now(f"count({planned()}) or vector(0)"),
                colour=look.steps(look.PLAIN, (1, look.PLANNED)),
            ),
            3,
        ),
        (
            panels.number(
                "Alerts firing",
                "Alerts of this project that fire in Prometheus now, muted ones too, without the watchdog.",
                ask.now(f"count({FIRING}) or vector(0)"),
                colour=look.steps(look.PLAIN, (1, look.BAD)),
            ),
            3,
        ),
    ]


def _silent() -> Any:
    silence = with_facts(
        f"{most('aurora_node_last_seen_age_seconds', 'node')}\n* on (node) group_left (status)\n"
        f"topk by (node) (1, {most('aurora_node_status', 'node', 'status', where=(NOT_ACTIVE,))} == 1)"
        "\n* on (node) group_left (lifecycle)\n"
        f"topk by (node) (1, {most('aurora_node_lifecycle', 'node', 'lifecycle')} == 1)",
        "role",
        "site",
    )
    return panels.listing(
        "Not active",
        "Nodes in warning or offline, longest silence first. In service is where somebody should look; the others are"
        " planned. A node's own dashboard is behind its name.",
        ask.rows(silence),
        columns={
            "node": "Node",
            "status": "Status",
            "Value": "Silent for",
            "lifecycle": "Lifecycle",
            "role": "Role",
            "site": "Site",
        },
        overrides={
            "Node": [look.links(NODE_LINK)],
            "Status": look.mapped(look.STATUS_TEXTS),
            "Silent for": look.unit("dthms"),
        },
        sort="Silent for",
        none="Every node is active",
    )


def _alerts() -> Any:
    ranked = "\n  or\n    ".join(f"({FIRING[:-1]}, {which}}} * {rank})" for rank, which in enumerate(GRAVITY, start=1))
    return panels.listing(
        "Alerts firing",
        "As Prometheus evaluates them, the gravest first, with those that Alertmanager mutes because another stands for"
        " them.",
        ask.rows(f"sort_desc(max by (alertname, severity, node, site) (\n    {ranked}\n))"),
        columns={"alertname": "Alert", "severity": "Severity", "node": "Node", "site": "Site"},
        overrides={
            "Node": [look.links(NODE_LINK)],
            "Severity": look.mapped(
                look.mapping(
                    {
                        "critical": ("critical", look.BAD),
                        "warning": ("warning", look.SUSPICIOUS),
                        "info": ("info", look.PLANNED),
                    }
                )
            ),
        },
        none="No alert fires",
    )


def _timeline() -> Any:
    been_silent = f"max by (node) (max_over_time({of('aurora_node_status', NOT_ACTIVE)}[$__range] @ end()))"
    return charts.history(
        "Status of nodes",
        "A row for each node that was in warning or offline within the chosen time; the list above shows every node"
        " if asked to. A gap is a node that was not registered, or a registry that Prometheus could not reach.",
        ask.over_time(f"{status_code()}\nand on (node)\n  {been_silent} $shown", "{{node}}"),
        mappings=[look.STATUS_HISTORY],
        none="Every node was active all the time",
        per_page=25,
    )


def _statuses() -> Any:
    return charts.areas(
        "Nodes by status",
        "All registered nodes, by the status that silence gives them.",
        ask.over_time(f"sum by (status) ({most('aurora_mesh_nodes', 'role', 'status')})", "{{status}}"),
        unit="none",
        overrides=look.status_overrides(),
    ).decimals(0)


def _sites() -> Any:
    return charts.history(
        "Sites",
        "A site is disrupted when most of its nodes fell silent together: one incident, and one alert.",
        ask.over_time(most("aurora_site_disrupted", "site"), "{{site}}"),
        mappings=[look.mapping({0: ("in order", look.GOOD), 1: ("disrupted", look.BAD)})],
        none="No node names a site",
    )


def _changed() -> Any:
    entered = grown("aurora_node_status_transitions_total", "node", "status")
    new = f"({most('aurora_node_registered_timestamp_seconds', 'node')} > time() - $__range_s) ^ 0"
    gone = f"max by (node) ({of('aurora_node_info')} offset $__range) unless on (node) {of('aurora_node_info')}"
    changes = f"""\
  (round({entered}) > 0)
or
  label_replace({new}, "status", "registered", "", "")
or
  label_replace({gone}, "status", "gone", "", "")"""
    return panels.listing(
        "What changed",
        "What nodes entered within the chosen time, and how often; which are new, and which are no longer registered.",
        ask.rows(changes),
        columns={"node": "Node", "status": "Became", "Value": "Times"},
        overrides={
            "Node": [look.links(NODE_LINK)],
            "Became": look.mapped(
                look.STATUS_TEXTS,
                look.mapping({"registered": ("registered", look.PLANNED), "gone": ("gone", look.PLAIN)}),
            ),
            "Times": [*look.unit("none", 0), look.width(80)],
        },
        sort="Times",
        none="Nothing changed",
    )


def _transitions() -> Any:
    entered = grown("aurora_node_status_transitions_total", "node", "status", window="$__rate_interval")
    return charts.bars(
        "Transitions",
        "Nodes that entered each status. Many at the same time are a site or a network, not nodes.",
        ask.over_time(
            f"sum by (status) ({entered})",
            "{{status}}",
        ),
        unit="none",
        overrides=look.status_overrides(),
    ).decimals(0)


def _by(label: str, metric: str) -> Any:
    return panels.shares(
        f"By {label}",
        f"Registered nodes of each {label}, by status.",
        ask.rows(most(metric, label, "status")),
        row=label,
        column="status",
        heading=label.capitalize(),
    )


def _gpus() -> Any:
    return charts.areas(
        "GPUs by status of their node",
        "What nodes are registered with: active ones can be had now. More on the dashboard of GPU capacity.",
        ask.over_time(most("aurora_mesh_gpus", "status"), "{{status}}"),
        unit="none",
        overrides=look.status_overrides(),
    ).decimals(0)
