"""The alerts about single nodes."""

from __future__ import annotations

from exporter.alerting.gpuhealth import FATAL, GRAVITY, problems
from exporter.alerting.rule import Alert, Recording, block, file, indented
from exporter.alerting.setting import NON_PRODUCTION, Setting
from exporter.domain.duration import format_duration

HEAD = """\
Alerts about single nodes. Written on node families, so each holds by itself and names the node that it is about.

Every node alert is put together in the same way (the recorded names stand first in the group):
  unless ... aurora_node_status_held         a registry that does not receive the node's heartbeats is not asked
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
NON_PRODUCTION_PATTERN = f"^({'|'.join(NON_PRODUCTION)})$"
"""Environments in which nothing pages; a node that states none is in production."""
SCRAPED = "job, instance"
PLANNED = "node:aurora_node_lifecycle:planned"
FROZEN = "node:aurora_node_status_held:frozen"
DISRUPTED = "node:aurora_node_disruption_start_timestamp_seconds:max"
RENAMED = "max by (node) (aurora_node_renamed_info)"
LABELS = "node:aurora_node_info:topk"


def nodes(setting: Setting) -> str:
    """The text of nodes.rules.yml."""
    alerts = [*_missing(setting), *_unsteady(setting), *_gpus(setting), *_others(setting)]
    return file(HEAD, "aurora-nodes", [*_recorded(setting), *alerts], setting.runbooks)


def _recorded(setting: Setting) -> list[Recording]:
    return [
        Recording(
            LABELS,
            "topk by (node) (1, max by (node, role, environment, site) (aurora_node_info))",
            why="Once for all alerts: this join was half the cost of each.",
        ),
        Recording(PLANNED, 'max by (node) (aurora_node_lifecycle{lifecycle!="in_service"} == 1)'),
        Recording(
            FROZEN,
            block(f"""
                (
                    max by (node) (aurora_node_status_held == 1)
                  unless on (node)
                    (aurora_node_status_held == 0)
                )
                or
                (
                    max by (node) (ALERTS{{alertname=~"Aurora.+", alertstate="firing", node!=""}})
                  unless on ()
                    (up{{job="{setting.job}"}} == 1)
                )
            """),
            why="Nodes that no registry receives, and those with alerts while no registry can be scraped.",
        ),
        Recording(
            DISRUPTED,
            block(f"""
                max by (node) (
                    aurora_node_disruption_start_timestamp_seconds
                  unless on ({SCRAPED}, node)
                    (aurora_node_status_held == 1)
                )
            """),
            why="Nodes that went missing together with their site or the mesh.",
        ),
    ]


def _about(
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
) -> Alert:
    """A node alert: its condition by node, and all that each of them has. `suppressed`: nodes it does not begin for."""
    parts = [indented(_grouped(condition), 4)]
    if planned:
        parts.append(f"  unless on (node)\n{indented(planned, 4)}")
    if suppressed:
        firing = f'ALERTS{{alertname="{name}", alertstate="firing"}}'
        begun = f"{indented(_grouped(suppressed), 8)}\n      unless on (node)\n        {firing}"
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
    return Alert(
        name,
        f"{fresh}\n{kept}",
        severity=severity,
        summary=summary,
        description=description,
        why=why,
        wait=wait,
        keep=keep,
    )


def _grouped(expr: str) -> str:
    """In parentheses where a set operator after it would take its last part alone."""
    return f"(\n{indented(expr, 2)}\n)" if "\nor\n" in expr else expr


def _missing(setting: Setting) -> list[Alert]:
    missing = "No heartbeat of {{ $labels.node }} ({{ $labels.role }}, {{ $labels.environment }}) came for longer than"
    return [
        _about(
            "AuroraNodeWarning",
            f"{_in_status('warning')}\nor\n(\n{indented(_in_status('offline'), 4)}\n  and on (node)\n"
            '    ALERTS{alertname="AuroraNodeWarning", alertstate="firing"}\n)',
            severity=_severity("warning"),
            wait=setting.node_wait,
            keep=setting.keep,
            suppressed=f'{DISRUPTED}\nor\n{RENAMED}\nor\nALERTS{{alertname="AuroraNodeFlapping", alertstate="firing"}}',
            summary="Node {{ $labels.node }} is missing heartbeats",
            description=f"{missing} thresholds.warning_after. If none comes, it will be offline.",
            why="Goes on while the node is offline: one that fired before ends when the node is back, and not earlier.",
        ),
        _about(
            "AuroraNodeOffline",
            _in_status("offline"),
            severity=_severity("critical"),
            wait=setting.node_wait,
            keep=setting.keep,
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


def _unsteady(setting: Setting) -> list[Alert]:
    window_ns = setting.ten_beats_ns
    window = format_duration(window_ns)
    return [
        _about(
            "AuroraNodeFlapping",
            block("""
                max by (node) (
                  increase(aurora_node_status_transitions_total{status="warning"}[1h])
                ) > 2.5
            """),
            planned=f"max_over_time({PLANNED}[1h])",
            suppressed=f"max_over_time({DISRUPTED}[1h])",
            severity=_severity("warning"),
            keep=setting.keep,
            summary="Node {{ $labels.node }} goes missing again and again",
            description="{{ $labels.node }} ({{ $labels.role }}, {{ $labels.environment }}) entered warning three"
            " times or more within an hour, and came back each time.",
            why="Three gaps in an hour are a bad link or a machine that restarts; one or two are an ordinary day."
            " The counter sees what happens between two scrapes. 2.5, as increase() extrapolates and gives no whole"
            " numbers. A node that was out of service within the hour, such as a laptop that slept, is no alert; gaps"
            " in which its"
            " whole site was missing do not count as its own.",
        ),
        _about(
            "AuroraNodeHeartbeatLoss",
            block(f"""
                min by (node) (
                    increase(aurora_node_heartbeats_missed_total[{window}])
                  unless on ({SCRAPED}, node)
                    (aurora_node_status_held == 1)
                ) / {setting.beats(window_ns)} > 0.25
            """),
            severity=_severity("warning"),
            wait="15m",
            keep=setting.keep,
            summary="A quarter of the heartbeats of {{ $labels.node }} are lost",
            description="{{ if $value }}{{ $value | humanizePercentage }}{{ else }}Many{{ end }} of the heartbeats that"
            " {{ $labels.node }} ({{ $labels.role }}, {{ $labels.environment }}) sent did not arrive. Its status hides"
            " this: it takes several in a row to change it.",
            why=f"{window} are {setting.beats(window_ns)} heartbeats. For a while, since one burst on a radio link is"
            " nobody's business. min, as a heartbeat that any registry received did arrive.",
        ),
    ]


def _gpus(setting: Setting) -> list[Alert]:
    return [
        _about(
            "AuroraNodeGpuMissing",
            _received("node", "aurora_node_gpus - aurora_node_gpus_observed", "> 0"),
            severity=_severity("warning"),
            wait="5m",
            keep=setting.keep,
            summary="Node {{ $labels.node }} sees fewer GPUs than it has",
            description="{{ if $value }}{{ $value }}{{ else }}Some{{ end }} of the GPUs that {{ $labels.node }}"
            " ({{ $labels.role }},"
            " {{ $labels.environment }}) registered with are missing from its heartbeats.",
            why="Long enough for a driver that is being reset. Only of an active node: one that is missing has"
            " an alert of its own.",
        ),
        _about(
            "AuroraNodeGpuHot",
            _received("node, gpu", "aurora_node_gpu_temperature_celsius", "> 87"),
            severity=_severity("warning"),
            wait="10m",
            keep="10m",
            summary="GPU {{ $labels.gpu }} of {{ $labels.node }} is hot",
            description="GPU {{ $labels.gpu }} of {{ $labels.node }} ({{ $labels.role }}, {{ $labels.environment }})"
            " was above 87 degrees Celsius for ten minutes"
            '{{ if $value }} and is at {{ $value | printf "%.0f" }}{{ end }}.',
            why="Cards under load live at 70 to 83 degrees and slow themselves down between 83 and 90: who stays"
            " above 87 has lost a fan or its air. A peak is no alert, and a card that hovers about the limit is one"
            " and not many.",
        ),
        _about(
            "AuroraNodeGpuUnhealthy",
            _received(f"node, gpu, problem, {GRAVITY}", f"(\n{indented(problems(), 6)}\n    )", "> 0"),
            severity=_severity(
                f'{{{{ if eq $labels.{GRAVITY} "{FATAL}" }}}}critical{{{{ else }}}}warning{{{{ end }}}}',
            ),
            keep="15m",
            summary="GPU {{ $labels.gpu }} of {{ $labels.node }}: {{ $labels.problem }}",
            description="GPU {{ $labels.gpu }} of {{ $labels.node }} ({{ $labels.role }}, {{ $labels.environment }})"
            " reports: {{ $labels.problem }}. Jobs on it fail, or will.",
            why="One alert for each GPU and problem. Fatal are the XIDs that NVIDIA's documents answer with a reset, a"
            " restart or service, and memory that cannot be repaired any more; XIDs of programs are none. Without a"
            " wait: an error that came is a fact. What only slows a GPU down has to last.",
        ),
        _about(
            "AuroraGpuIdle",
            _received("node", "aurora_node_gpu_utilization_ratio", "< 0.05"),
            severity="info",
            wait="4h",
            summary="The GPUs of {{ $labels.node }} are idle",
            description="All GPUs of {{ $labels.node }} ({{ $labels.role }}, {{ $labels.environment }}) were under 5"
            " % for four"
            ' hours.{{ with printf "max(aurora_node_cost_usd_per_hour{node=%q})" $labels.node | query }} The node costs'
            " {{ . | first | value }} USD an hour.{{ end }}",
            why="Half a working day: who waits for data or for lunch is not idle. By node, since nodes are what is"
            " paid for.",
        ),
    ]


def _others(setting: Setting) -> list[Alert]:
    return [
        _about(
            "AuroraNodeClockSkew",
            _received("node", "abs(aurora_node_clock_offset_seconds)", "> 5"),
            severity=_severity("warning"),
            wait="10m",
            keep=setting.keep,
            summary="The clock of {{ $labels.node }} is wrong",
            description="The clock of {{ $labels.node }} ({{ $labels.role }}, {{ $labels.environment }}) and the"
            " registry's are"
            ' {{ if $value }}{{ $value | printf "%.0f" }} seconds {{ end }}apart. No status depends on it, but logs,'
            " certificates and jobs do.",
            why="Timestamps may be whole seconds, and come late over slow links: up to two seconds say nothing.",
        ),
        _about(
            "AuroraNodeNameConflict",
            block("""
                max by (node) (
                  increase(aurora_node_name_conflicts_total[15m])
                ) > 0
            """),
            severity=_severity("warning"),
            keep=setting.keep,
            summary="Another machine claims to be {{ $labels.node }}",
            description="A machine with another node_id tried to register as {{ $labels.node }} ({{ $labels.role }},"
            " {{ $labels.environment }}) and was refused, or two with one disk image take turns under its name.",
            why="No wait: each is a machine that is missing from the mesh, and whose failure nobody would notice.",
        ),
        _about(
            "AuroraMaintenanceOverdue",
            block(f"""
                max by (node, lifecycle) (
                    (aurora_node_lifecycle{{lifecycle!="in_service"}} == 1)
                  and on ({SCRAPED}, node)
                    (aurora_node_lifecycle_until_timestamp_seconds < time())
                  unless on ({SCRAPED}, node)
                    (aurora_node_status_held == 1)
                )
                unless on (node)
                  (aurora_node_status{{status="active"}} == 1)
            """),
            planned="",
            severity=_severity('{{ if eq $labels.lifecycle "draining" }}critical{{ else }}warning{{ end }}'),
            wait="15m",
            keep=setting.keep,
            summary="Node {{ $labels.node }} did not come back from planned work",
            description="The planned work on {{ $labels.node }} ({{ $labels.role }}, {{ $labels.environment }}) was"
            " to end, and the node is not active ({{ $labels.lifecycle }}). Its other alerts stay suppressed until"
            " somebody ends the work or prolongs it.",
            why="A quarter of an hour, as people run late. A node that was only drained should be alive: if it is not,"
            " that pages as any other death does.",
        ),
    ]


def _severity(severity: str) -> str:
    # Not by a regular expression: it would be compiled for every alert at every evaluation.
    names = " ".join(f'"{name}"' for name in NON_PRODUCTION)
    return f"{{{{ if eq $labels.environment {names} }}}}info{{{{ else }}}}{severity}{{{{ end }}}}"


def _in_status(status: str) -> str:
    return block(f"""
        max by (node) (
            (aurora_node_status{{status="{status}"}} == 1)
          unless on ({SCRAPED}, node)
            (aurora_node_status_held == 1)
        )
    """)


def _received(by: str, expr: str, compared: str) -> str:
    """The expression of nodes that are active and whose heartbeats are received."""
    return block(f"""
        max by ({by}) (
            @
          and on ({SCRAPED}, node)
            (aurora_node_status{{status="active"}} == 1)
          unless on ({SCRAPED}, node)
            (aurora_node_status_held == 1)
        ) {compared}
    """).replace("@", expr)
