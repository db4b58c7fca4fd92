"""The alerts about single nodes."""

from __future__ import annotations

from exporter.alerting.gpuhealth import FATAL, GRAVITY, problems
from exporter.alerting.rule import Alert, block, file, indented
from exporter.alerting.setting import KEEP_FIRING_FOR, NON_PRODUCTION, Setting
from exporter.domain.duration import format_duration

HEAD = """\
Alerts about single nodes. Written on node families, so each holds by itself and names the node that it is about.

Every node alert is put together in the same way:
  unless ... aurora_node_status_held     a registry that cannot hear the node has no say about it
  max by (node)                          several registries make one alert
  unless on (node) aurora_node_lifecycle planned work is quiet
  topk by (node) (1, ...)                labels for routing; registries that disagree on one cannot fail
                                         the rule, as a plain group_left would
for: a site's or the whole mesh's alert comes first, and inhibits these.
keep_firing_for: neither a failed scrape nor a restart of the registry looks like a repair.

Made by `aurora-cli rules`, which makes these files for another configuration as well.
"""
NON_PRODUCTION_PATTERN = f"^({'|'.join(NON_PRODUCTION)})$"
"""Environments in which nothing pages; whoever states none is in production."""
SCRAPED = "job, instance"
PLANNED = '(aurora_node_lifecycle{lifecycle!="in_service"} == 1)'
LABELS = block("""
    * on (node) group_left (role, environment, site)
    topk by (node) (1, max by (node, role, environment, site) (aurora_node_info))
""")


def nodes(setting: Setting) -> str:
    """The text of nodes.rules.yml."""
    alerts = [*_silent(setting), *_unsteady(setting), *_gpus(), *_others()]
    return file(HEAD, "aurora-nodes", alerts, setting.runbooks)


def _silent(setting: Setting) -> list[Alert]:
    silent = "No heartbeat of {{ $labels.node }} ({{ $labels.role }}, {{ $labels.environment }}) came for longer than"
    return [
        Alert(
            "AuroraNodeWarning",
            _in_status("warning"),
            severity=_severity("warning"),
            wait=setting.node_wait,
            keep=KEEP_FIRING_FOR,
            summary="Node {{ $labels.node }} is falling silent",
            description=f"{silent} thresholds.warning_after. If it stays silent, it will be offline.",
        ),
        Alert(
            "AuroraNodeOffline",
            _in_status("offline"),
            severity=_severity("critical"),
            wait=setting.node_wait,
            keep=KEEP_FIRING_FOR,
            summary="Node {{ $labels.node }} is offline",
            description=f"{silent} thresholds.offline_after. Its GPUs count as lost until it is heard again.",
        ),
    ]


def _unsteady(setting: Setting) -> list[Alert]:
    window_ns = setting.ten_beats_ns
    window = format_duration(window_ns)
    return [
        Alert(
            "AuroraNodeFlapping",
            _labelled(
                block("""
                    max by (node) (
                      increase(aurora_node_status_transitions_total{status="warning"}[1h])
                    ) > 2.5
                """),
                planned='(max_over_time(aurora_node_lifecycle{lifecycle!="in_service"}[1h]) == 1)',
            ),
            severity=_severity("warning"),
            keep=KEEP_FIRING_FOR,
            summary="Node {{ $labels.node }} falls silent again and again",
            description="{{ $labels.node }} ({{ $labels.role }}, {{ $labels.environment }}) entered warning three"
            " times or more within an hour, and came back each time.",
            why="Three silences in an hour are a bad link or a machine that restarts; one or two are an ordinary day."
            " The counter sees what happens between two scrapes. 2.5, as increase() extrapolates and gives no whole"
            " numbers. A node that was out of service within the hour, such as a laptop that slept, is quiet.",
        ),
        Alert(
            "AuroraNodeHeartbeatLoss",
            _labelled(
                block(f"""
                    min by (node) (
                        increase(aurora_node_heartbeats_missed_total[{window}])
                      unless on ({SCRAPED}, node)
                        (aurora_node_status_held == 1)
                    ) / {setting.beats(window_ns)} > 0.25
                """)
            ),
            severity=_severity("warning"),
            wait="15m",
            keep=KEEP_FIRING_FOR,
            summary="A quarter of the heartbeats of {{ $labels.node }} are lost",
            description="{{ $value | humanizePercentage }} of the heartbeats that {{ $labels.node }}"
            " ({{ $labels.role }}, {{ $labels.environment }}) sent did not arrive. It takes several in a row to make"
            " it fall silent, so its status hides this.",
            why=f"{window} are {setting.beats(window_ns)} heartbeats. For a while, since one burst on a radio link is"
            " nobody's business. min, as a heartbeat that any registry heard did arrive.",
        ),
    ]


def _gpus() -> list[Alert]:
    return [
        Alert(
            "AuroraNodeGpuMissing",
            _labelled(_heard("node", "aurora_node_gpus - aurora_node_gpus_observed", "> 0")),
            severity=_severity("warning"),
            wait="5m",
            keep=KEEP_FIRING_FOR,
            summary="Node {{ $labels.node }} sees fewer GPUs than it has",
            description="{{ $value }} of the GPUs that {{ $labels.node }} ({{ $labels.role }},"
            " {{ $labels.environment }}) registered with are missing from its heartbeats.",
            why="Long enough for a driver that is being reset. Only of an active node: a silent one has its own alert.",
        ),
        Alert(
            "AuroraNodeGpuHot",
            _labelled(_heard("node, gpu", "aurora_node_gpu_temperature_celsius", "> 87")),
            severity=_severity("warning"),
            wait="10m",
            keep="10m",
            summary="GPU {{ $labels.gpu }} of {{ $labels.node }} is hot",
            description="GPU {{ $labels.gpu }} of {{ $labels.node }} ({{ $labels.role }}, {{ $labels.environment }})"
            " is at"
            ' {{ $value | printf "%.0f" }} degrees Celsius, and was above 87 for ten minutes.',
            why="Cards under load live at 70 to 83 degrees and slow themselves down between 83 and 90: who stays"
            " above 87 has lost a fan or its air. A peak is no alert, and a card that hovers about the limit is one"
            " and not many.",
        ),
        Alert(
            "AuroraNodeGpuUnhealthy",
            _labelled(_heard(f"node, gpu, problem, {GRAVITY}", f"(\n{indented(problems(), 6)}\n    )", "> 0")),
            severity=f'{{{{ if match "{NON_PRODUCTION_PATTERN}" $labels.environment }}}}info'
            f'{{{{ else if eq $labels.{GRAVITY} "{FATAL}" }}}}critical{{{{ else }}}}warning{{{{ end }}}}',
            keep="15m",
            summary="GPU {{ $labels.gpu }} of {{ $labels.node }}: {{ $labels.problem }}",
            description="GPU {{ $labels.gpu }} of {{ $labels.node }} ({{ $labels.role }}, {{ $labels.environment }})"
            " reports: {{ $labels.problem }}. Jobs on it fail, or will.",
            why="One alert for each GPU and problem. Fatal are the XIDs that NVIDIA's documents answer with a reset, a"
            " restart or service, and memory that cannot be repaired any more; XIDs of programs are none. Without a"
            " wait: an error that came is a fact. What only slows a GPU down has to last.",
        ),
        Alert(
            "AuroraGpuIdle",
            _labelled(_heard("node", "aurora_node_gpu_utilization_ratio", "< 0.05")),
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


def _others() -> list[Alert]:
    return [
        Alert(
            "AuroraNodeClockSkew",
            _labelled(_heard("node", "abs(aurora_node_clock_offset_seconds)", "> 5")),
            severity=_severity("warning"),
            wait="10m",
            keep=KEEP_FIRING_FOR,
            summary="The clock of {{ $labels.node }} is wrong",
            description="The clock of {{ $labels.node }} ({{ $labels.role }}, {{ $labels.environment }}) and the"
            " registry's are"
            ' {{ $value | printf "%.0f" }} seconds apart. No status depends on it, but logs, certificates and jobs do.',
            why="Timestamps may be whole seconds, and come late over slow links: up to two seconds say nothing.",
        ),
        Alert(
            "AuroraNodeNameConflict",
            _labelled(
                block("""
                    max by (node) (
                      increase(aurora_node_name_conflicts_total[15m])
                    ) > 0
                """)
            ),
            severity=_severity("warning"),
            keep=KEEP_FIRING_FOR,
            summary="Another machine claims to be {{ $labels.node }}",
            description="A machine with another node_id tried to register as {{ $labels.node }} ({{ $labels.role }},"
            " {{ $labels.environment }}) and was refused. The node itself is not affected.",
            why="No wait: each refused claim is a machine that is missing from the mesh.",
        ),
        Alert(
            "AuroraMaintenanceOverdue",
            block(f"""
                (
                    max by (node) (
                        aurora_node_lifecycle_until_timestamp_seconds
                      unless on ({SCRAPED}, node)
                        (aurora_node_status_held == 1)
                    ) < time()
                  unless on (node)
                    (aurora_node_status{{status="active"}} == 1)
                )
            """)
            + f"\n{LABELS}",
            severity=_severity("warning"),
            wait="15m",
            keep=KEEP_FIRING_FOR,
            summary="Node {{ $labels.node }} did not come back from planned work",
            description="The planned work on {{ $labels.node }} ({{ $labels.role }}, {{ $labels.environment }}) was"
            " to end, and the node is not active. Its other alerts stay quiet until somebody ends the work or"
            " prolongs it.",
            why="A quarter of an hour, as people run late.",
        ),
    ]


def _severity(severity: str) -> str:
    return f'{{{{ if match "{NON_PRODUCTION_PATTERN}" $labels.environment }}}}info{{{{ else }}}}{severity}{{{{ end }}}}'


def _in_status(status: str) -> str:
    return _labelled(
        block(f"""
            max by (node) (
                aurora_node_status{{status="{status}"}}
              unless ignoring (status)
                (aurora_node_status_held == 1)
            ) == 1
        """)
    )


def _heard(by: str, expr: str, compared: str) -> str:
    """The expression of nodes that are active and can be heard."""
    return block(f"""
        max by ({by}) (
            @
          and on ({SCRAPED}, node)
            (aurora_node_status{{status="active"}} == 1)
          unless on ({SCRAPED}, node)
            (aurora_node_status_held == 1)
        ) {compared}
    """).replace("@", expr)


def _labelled(expr: str, planned: str = PLANNED) -> str:
    """Quiet while work is planned, and with the labels for routing."""
    return f"(\n{indented(expr, 4)}\n  unless on (node)\n    {planned}\n)\n{LABELS}"
