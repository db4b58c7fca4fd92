"""The alerts about single nodes."""

from __future__ import annotations

from exporter.alerting.gpualerts import gpus
from exporter.alerting.nodealert import (
    DISRUPTED,
    FROZEN,
    HELD,
    MISSING,
    OUT_OF_SERVICE,
    PLANNED,
    RENAMED,
    SCRAPED,
    NodeAlert,
    about,
    labels,
    received,
    routed,
)
from exporter.alerting.parameters import RuleParameters
from exporter.alerting.rule import RecordingRule, block, file, indented
from exporter.domain.duration import format_duration

HEAD = """\
Alerts about single nodes. Written on node families, so each holds by itself and names the node that it is about.

Every node alert is put together in the same way. What is recorded stands first in the group: of a healthy mesh most of
it has no series, so that the joins cost nothing.
  node:NAME:condition                        the nodes of which the alert's condition holds
  unless ... ..._status_held:true            a registry that does not receive the node's heartbeats is not asked
  max by (node)                              several registries make one alert
  unless on (node) ...:planned               planned work is no alert
  * on (node) ... node:aurora_node_info:topk labels for routing; registries that disagree on one cannot fail the rule,
                                             as a plain group_left would
  or ALERTS{...} and on (node) ...:frozen    what nobody receives is unknown, not repaired: the alert goes on
A node that is missing together with its site or the mesh has no alert of its own: that of the site or the mesh stands
for it. Neither has a name that is missing because its machine registered under another one. What was sent before goes
on until the node is back.
keep_firing_for: neither a failed scrape nor a restart of the registry looks like a repair.

Made by `aurora-cli rules`, which makes these files for another configuration as well.
"""


def nodes(parameters: RuleParameters) -> str:
    """The text of nodes.rules.yml."""
    pairs = [*_missing(parameters), *_unsteady(parameters), *gpus(parameters), *_others(parameters)]
    conditions, alerts = [condition for condition, _ in pairs], [alert for _, alert in pairs]
    return file(
        HEAD, "aurora-nodes", [*_recorded(parameters), *conditions, labels(conditions), *alerts], parameters.runbooks
    )


def _recorded(parameters: RuleParameters) -> list[RecordingRule]:
    return [
        RecordingRule(HELD, "aurora_node_status_held == 1"),
        RecordingRule(MISSING, 'aurora_node_status{status!="active"} == 1'),
        RecordingRule(OUT_OF_SERVICE, 'aurora_node_lifecycle{lifecycle!="in_service"} == 1'),
        RecordingRule(PLANNED, f"max by (node) ({OUT_OF_SERVICE})"),
        RecordingRule(
            FROZEN,
            block(f"""
                (
                    max by (node) ({HELD})
                  unless on (node)
                    (aurora_node_status_held == 0)
                )
                or
                (
                    max by (node) (ALERTS{{alertname=~"Aurora.+", alertstate="firing", node!=""}})
                  unless on ()
                    (up{{job="{parameters.job}"}} == 1)
                )
            """),
            why="Nodes that no registry receives, and those with alerts while no registry can be scraped.",
        ),
        RecordingRule(
            DISRUPTED,
            block(f"""
                max by (node) (
                    aurora_node_disruption_start_timestamp_seconds
                  unless on ({SCRAPED}, node)
                    {HELD}
                )
            """),
            why="Nodes that went missing together with their site or the mesh.",
        ),
    ]


def _missing(parameters: RuleParameters) -> list[NodeAlert]:
    missing = "No heartbeat of {{ $labels.node }} ({{ $labels.role }}, {{ $labels.environment }}) came for longer than"
    return [
        about(
            "AuroraNodeWarning",
            f"{_in_status('warning')}\nor\n(\n{indented(_in_status('offline'), 4)}\n  and on (node)\n"
            '    ALERTS{alertname="AuroraNodeWarning", alertstate="firing"}\n)',
            severity=routed("warning"),
            wait=parameters.node_wait,
            keep=parameters.keep,
            suppressed=f'{DISRUPTED}\nor\n{RENAMED}\nor\nALERTS{{alertname="AuroraNodeFlapping", alertstate="firing"}}',
            summary="Node {{ $labels.node }} is missing heartbeats",
            description=f"{missing} thresholds.warning_after. If none comes, it will be offline.",
            why="Keeps firing while the node is offline: an alert that fired before ends only when the node is back.",
        ),
        about(
            "AuroraNodeOffline",
            _in_status("offline"),
            severity=routed("critical"),
            wait=parameters.node_wait,
            keep=parameters.keep,
            suppressed=block(f"""
                {DISRUPTED}
                or
                {RENAMED}
                or
                (
                    max by (node) (aurora_node_info{{role="lead"}})
                  and on ()
                    ALERTS{{alertname="AuroraMeshNoLead", alertstate="firing"}}
                )
            """),
            summary="Node {{ $labels.node }} is offline",
            description=f"{missing} thresholds.offline_after. Its GPUs count as lost until its heartbeats are received"
            " again.",
            why="AuroraMeshNoLead stands for the leads.",
        ),
    ]


def _unsteady(parameters: RuleParameters) -> list[NodeAlert]:
    window_ns = parameters.ten_beats_ns
    window = format_duration(window_ns)
    return [
        about(
            "AuroraNodeFlapping",
            block("""
                max by (node) (
                  increase(aurora_node_status_transitions_total{status="warning"}[1h])
                ) > 2.5
            """),
            planned=f"max_over_time({PLANNED}[1h])",
            suppressed=f"max_over_time({DISRUPTED}[1h])",
            severity=routed("warning"),
            keep=parameters.keep,
            summary="Node {{ $labels.node }} goes missing again and again",
            description="{{ $labels.node }} ({{ $labels.role }}, {{ $labels.environment }}) entered warning three"
            " times or more within an hour, and came back each time.",
            why="Three gaps in an hour are a bad link or a machine that restarts; one or two are an ordinary day."
            " The counter sees what happens between two scrapes. 2.5, as increase() extrapolates and gives no whole"
            " numbers. A node that was out of service within the hour, such as a laptop that slept, is no alert; gaps"
            " in which its"
            " whole site was missing do not count as its own.",
        ),
        about(
            "AuroraNodeHeartbeatLoss",
            block(f"""
                min by (node) (
                    increase(aurora_node_heartbeats_missed_total[{window}])
                  unless on ({SCRAPED}, node)
                    {HELD}
                ) / {parameters.beats(window_ns)} > 0.25
            """),
            severity=routed("warning"),
            wait="15m",
            keep=parameters.keep,
            summary="A quarter of the heartbeats of {{ $labels.node }} are lost",
            description="{{ if $value }}{{ $value | humanizePercentage }}{{ else }}Many{{ end }} of the heartbeats that"
            " {{ $labels.node }} ({{ $labels.role }}, {{ $labels.environment }}) sent did not arrive. Its status hides"
            " this: it takes several in a row to change it.",
            why=f"{window} are {parameters.beats(window_ns)} heartbeats. For a while, since one burst on a radio link"
            " needs nobody to act. min, as a heartbeat that any registry received did arrive.",
        ),
    ]


def _others(parameters: RuleParameters) -> list[NodeAlert]:
    return [
        about(
            "AuroraNodeClockSkew",
            received("node", "(abs(aurora_node_clock_offset_seconds) > 5)"),
            severity=routed("warning"),
            wait="10m",
            keep=parameters.keep,
            summary="The clock of {{ $labels.node }} is wrong",
            description="The clock of {{ $labels.node }} ({{ $labels.role }}, {{ $labels.environment }}) and the"
            " registry's are"
            ' {{ if $value }}{{ $value | printf "%.0f" }} seconds {{ end }}apart. No status depends on it, but logs,'
            " certificates and jobs do.",
            why="Timestamps may be whole seconds, and come late over slow links: up to two seconds say nothing.",
        ),
        about(
            "AuroraNodeNameConflict",
            block("""
                max by (node) (
                  increase(aurora_node_name_conflicts_total[15m])
                ) > 0
            """),
            severity=routed("warning"),
            keep=parameters.keep,
            summary="Another machine claims to be {{ $labels.node }}",
            description="A machine with another node_id tried to register as {{ $labels.node }} ({{ $labels.role }},"
            " {{ $labels.environment }}) and was refused, or two with one disk image take turns under its name.",
            why="No wait: each is a machine that is missing from the mesh, and whose failure nobody would notice.",
        ),
        about(
            "AuroraMaintenanceOverdue",
            block(f"""
                max by (node, lifecycle) (
                    {OUT_OF_SERVICE}
                  and on ({SCRAPED}, node)
                    (aurora_node_lifecycle_until_timestamp_seconds < time())
                  and on ({SCRAPED}, node)
                    {MISSING}
                  unless on ({SCRAPED}, node)
                    {HELD}
                )
            """),
            planned="",
            severity=routed('{{ if eq $labels.lifecycle "draining" }}critical{{ else }}warning{{ end }}'),
            wait="15m",
            keep=parameters.keep,
            summary="Node {{ $labels.node }} did not come back from planned work",
            description="The planned work on {{ $labels.node }} ({{ $labels.role }}, {{ $labels.environment }}) was"
            " to end, and the node is not active ({{ $labels.lifecycle }}). Its other alerts stay suppressed until"
            " somebody ends the work or prolongs it.",
            why="A quarter of an hour, as people run late. A node that was only drained should be alive: if it is not,"
            " that pages as any other death does.",
        ),
    ]


def _in_status(status: str) -> str:
    return block(f"""
        max by (node) (
            {MISSING}{{status="{status}"}}
          unless on ({SCRAPED}, node)
            {HELD}
        )
    """)
