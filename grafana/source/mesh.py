"""Mesh overview: is the mesh healthy, and if not, what is wrong?"""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana.source import alerting, ask, charts, look, panels
from grafana.source.look import HELD_CODES
from grafana.source.lost import lost_gpus_listing
from grafana.source.page import NODE_LINK, Page
from grafana.source.promql import (
    NOT_ACTIVE,
    NOT_IN_SERVICE,
    available,
    count_or_zero,
    described,
    grown,
    held_code,
    most,
    of,
    planned,
    status_code,
    whole,
    with_facts,
)

SUSPECT = f"max by (alertname) ({alerting.firing('AuroraMeshSuspect')})"
GRAVITY = ('severity="info"', 'severity="warning"', 'severity="critical", node!=""', 'severity="critical", node=""')
"""Which alerts come first, last to first: the gravest, and those that stand for many before those of a node."""
VERDICTS = look.mapping(
    {
        1: ("Healthy", look.GOOD),
        2: ("Nodes in warning", look.SUSPICIOUS),
        3: ("Nodes offline", look.BAD),
        4: ("Site disrupted", look.BAD),
        5: ("Suspect our own network", look.HELD),
        6: ("Not receiving heartbeats", look.HELD),
    }
)


def page() -> Dashboard:
    """The dashboard."""
    return (
        Page("aurora-mesh", "Aurora / Mesh overview", "Is the mesh healthy, and if not, what is wrong?")
        .choice("shown", "Timeline shows", [("nodes that were not active", ">= 1"), ("every node", ">= 0")])
        .row(4, *_first_look())
        .heading("What is wrong")
        .row(8, (_not_active(), 14), (_alerts(), 10))
        .row(7, (_planned(), 10), (_frozen(), 8), (lost_gpus_listing(), 6))
        .heading("Timeline")
        .row(11, (_timeline(), 16), (_statuses(), 8))
        .row(8, (_sites(), 8), (_changed(), 8), (_transitions(), 8))
        .heading("Inventory")
        .row(
            8,
            (_by("role", "aurora_mesh_nodes"), 7),
            (_by("site", "aurora_site_nodes"), 7),
            (_gpus(), 6),
            (_cost(), 4),
        )
        .heading("Availability over 30 days")
        .row(8, (_site_availability(), 10), (_node_availability(), 14))
        .build()
    )


def _first_look() -> list[tuple[Any, int]]:
    verdict = f"""max(
    (
{status_code()}
      unless on (node)
        ({planned()} or on (node) {of("aurora_node_renamed_info")})
    )
  or
    ({_disrupted_sites()} == 1) * 4
  or
    ({most("aurora_registry_mesh_suspect", "instance")} == 1 or {SUSPECT}) * 5
  or
    (min({of("aurora_registry_blind")}) == 1) * 6
)
and on ()
  (max({of("up")}) == 1)"""
    counts = [
        (
            panels.number(
                title,
                description,
                ask.now(count_or_zero(whole("aurora_mesh_nodes", *where))),
                colour=colour,
            ),
            3,
        )
        for title, description, where, colour in (
            ("Nodes", "Registered nodes, whatever their status.", (), look.PLAIN),
            ("Active", "Nodes whose last heartbeat is less than two minutes old.", ('status="active"',), look.GOOD),
            (
                "Warning",
                "Nodes without heartbeats for two to five minutes.",
                ('status="warning"',),
                look.steps(look.PLAIN, (1, look.SUSPICIOUS)),
            ),
            (
                "Offline",
                "Nodes without heartbeats for longer than five minutes.",
                ('status="offline"',),
                look.steps(look.PLAIN, (1, look.BAD)),
            ),
        )
    ]
    return [
        (
            panels.number(
                "Is the mesh healthy?",
                "The worst of what holds now, as the alerts have it. Nodes in maintenance and draining do not count;"
                " while no registry receives heartbeats, statuses are frozen and say nothing.",
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
                "Nodes in maintenance, draining or asleep. They keep their status; their alerts are suppressed.",
                ask.now(count_or_zero(f"count({planned()})")),
                colour=look.steps(look.PLAIN, (1, look.PLANNED)),
            ),
            3,
        ),
        (
            panels.number(
                "Alerts firing",
                "Alerts of this project that fire now, without the watchdog; missing nodes whose alert is suppressed:"
                " another alert stands for it, or work is planned. A warning of an offline node is not counted:"
                " Alertmanager suppresses it.",
                ask.now(f"count({alerting.sent_alerts()}) or vector(0)", "sent"),
                ask.now(count_or_zero(f"count({alerting.suppressed()})"), "suppressed", ref="B"),
                colour=look.steps(look.PLAIN, (1, look.BAD)),
                overrides={"suppressed": [look.colour(look.PLANNED)]},
                named=True,
            ),
            3,
        ),
    ]


def _not_active() -> Any:
    ages = with_facts(
        f"{most('aurora_node_last_seen_age_seconds', 'node')}\n* on (node) group_left (status)\n"
        f"topk by (node) (1, {most('aurora_node_status', 'node', 'status', where=(NOT_ACTIVE,))} == 1)"
        "\n* on (node) group_left (lifecycle)\n"
        f"topk by (node) (1, {most('aurora_node_lifecycle', 'node', 'lifecycle')} == 1)"
        f"\n* on (node) group_left (alert)\n{alerting.by_node()}",
        "role",
        "site",
    )
    return panels.listing(
        "Not active",
        "Nodes in warning or offline, highest heartbeat age first. Alert: whether that of its status was sent, is"
        " suppressed (planned work, or the alert of its site or the mesh stands for it), or is pending. A node's name"
        " links to its dashboard.",
        ask.rows(ages),
        columns={
            "node": "Node",
            "status": "Status",
            "Value": "Heartbeat age",
            "alert": "Alert",
            "lifecycle": "Lifecycle",
            "role": "Role",
            "site": "Site",
        },
        overrides={
            "Node": [look.links(NODE_LINK)],
            "Status": look.mapped(look.STATUS_TEXTS),
            "Heartbeat age": look.unit("dthms"),
            "Alert": look.mapped(
                look.mapping(
                    {
                        alerting.SENT: ("sent", look.BAD),
                        alerting.SUPPRESSED: ("suppressed", look.PLANNED),
                        alerting.PENDING: ("pending", look.SUSPICIOUS),
                    }
                )
            ),
        },
        sort="Heartbeat age",
        none="Every node is active",
    )


def _disrupted_sites() -> str:
    """0 or 1 by site: what the registry sees now, and what its alert still stands for."""
    return f"""max by (site) (
    {of("aurora_site_disrupted")}
  or
    max by (site) ({alerting.firing("AuroraSiteDisrupted")})
)"""


def _planned() -> Any:
    until = most("aurora_node_lifecycle_until_timestamp_seconds", "node")
    which = f"topk by (node) (1, {most('aurora_node_lifecycle', 'node', 'lifecycle', where=(NOT_IN_SERVICE,))} == 1)"
    return panels.listing(
        "Out of service, until",
        "Nodes in maintenance, draining or asleep, and how long until it ends. Overdue: the end has passed and the node"
        " is not active, so it stays out of service and AuroraMaintenanceOverdue fires.",
        ask.rows(f"({until} - time())\n* on (node) group_left (lifecycle)\n{which}"),
        columns={"node": "Node", "lifecycle": "Lifecycle", "Value": "Ends in"},
        overrides={
            "Node": [look.links(NODE_LINK)],
            "Ends in": [
                *look.unit("dthms"),
                *look.mapped(look.below_zero("overdue", look.SUSPICIOUS)),
            ],
        },
        none="No work is planned",
    )


def _frozen() -> Any:
    return panels.listing(
        "Frozen",
        "Nodes whose heartbeats no registry receives now: their status is unknown and does not change. No alert fires"
        " or resolves because of it.",
        ask.rows(with_facts(f"({held_code()} > {HELD_CODES['no']})", "role", "site")),
        columns={"node": "Node", "role": "Role", "site": "Site"},
        overrides={"Node": [look.links(NODE_LINK)]},
        none="No status is frozen",
    )


def _cost() -> Any:
    cost = f"sum({most('aurora_node_cost_usd_per_hour', 'node')})"
    return panels.number(
        "Cost",
        "Of all registered nodes together, as registered in cost_per_hour; a month has 730 hours.",
        ask.now(cost, "an hour"),
        ask.now(f"{cost} * 730", "a month", ref="B"),
        unit="currencyUSD",
        decimals=2,
        named=True,
        none="Not stated",
    )


def _site_availability() -> Any:
    facts = described("site", where=('site!=""',))
    by_site = f"avg by (site) (\n  {available()}\n* on (node) group_left (site)\n  {facts}\n)"
    return panels.ranking(
        "Availability by site",
        "Part of the last 30 days in which a site's nodes were active, the mean of its nodes, without planned work.",
        ask.now(f"sort({by_site})", "{{site}}"),
        unit="percentunit",
        none="No node has been in service",
    )


def _node_availability() -> Any:
    return panels.listing(
        "Availability by node",
        "Part of the last 30 days in which the node was active, worst first. Planned work is left out, and time in"
        " which Prometheus reached no registry.",
        ask.rows(f"sort({with_facts(available(), 'role', 'site')})"),
        columns={"node": "Node", "Value": "Available", "role": "Role", "site": "Site"},
        overrides={"Node": [look.links(NODE_LINK)], "Available": look.unit("percentunit", 3)},
        none="No node has been in service",
    )


def _alerts() -> Any:
    ranked = "\n  or\n    ".join(
        f"({alerting.FIRING[:-1]}, {which}}} * {rank})" for rank, which in enumerate(GRAVITY, start=1)
    )
    return panels.listing(
        "Alerts firing",
        "As Prometheus evaluates them, the gravest first. Nodes that went missing with their site or the mesh"
        " have none; the warning of an offline node is left out, since Alertmanager suppresses it.",
        ask.rows(f"sort_desc({alerting.sent_alerts(ranked)})"),
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
    not_active = f"max by (node) (max_over_time({of('aurora_node_status', NOT_ACTIVE)}[$__range] @ end()))"
    return charts.history(
        "Status of nodes",
        "A row for each node that was in warning or offline within the chosen time; the list above shows every node"
        " if asked to. A gap is a node that was not registered, or a registry that Prometheus could not reach.",
        ask.over_time(f"{status_code()}\nand on (node)\n  {not_active} $shown", "{{node}}"),
        mappings=[look.STATUS_HISTORY],
        none="Every node was active all the time",
        per_page=25,
    )


def _statuses() -> Any:
    return charts.areas(
        "Nodes by status",
        "All registered nodes, by status.",
        ask.over_time(f"sum by (status) ({most('aurora_mesh_nodes', 'role', 'status')})", "{{status}}"),
        unit="none",
        overrides=look.status_overrides(),
    ).decimals(0)


def _sites() -> Any:
    return charts.history(
        "Sites",
        "A site is disrupted when most of its nodes went missing together, and while its alert fires: one incident, one"
        " message.",
        ask.over_time(_disrupted_sites(), "{{site}}"),
        mappings=[look.mapping({0: ("healthy", look.GOOD), 1: ("disrupted", look.BAD)})],
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
        "Statuses that nodes entered within the chosen time, and how often; new nodes, and nodes that are gone.",
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
        "What nodes are registered with: those of active nodes are available. More on the dashboard GPU capacity.",
        ask.over_time(most("aurora_mesh_gpus", "status"), "{{status}}"),
        unit="none",
        overrides=look.status_overrides(),
    ).decimals(0)
