"""The alerts about the GPUs of single nodes."""

from __future__ import annotations

from exporter.alerting.gpuhealth import FATAL, GRAVITY, problems
from exporter.alerting.nodealert import NodeAlert, about, received, routed
from exporter.alerting.parameters import SHORT_WAIT, RuleParameters
from exporter.alerting.rule import indented


def gpus(parameters: RuleParameters) -> list[NodeAlert]:
    """In the order of the rule file."""
    return [
        about(
            "AuroraNodeGpuMissing",
            received("node", "(aurora_node_gpus - aurora_node_gpus_observed > 0)"),
            severity=routed("warning"),
            wait=SHORT_WAIT,
            keep=parameters.keep,
            summary="Node {{ $labels.node }} sees fewer GPUs than it has",
            description="{{ if $value }}{{ $value }}{{ else }}Some{{ end }} of the GPUs that {{ $labels.node }}"
            " ({{ $labels.role }},"
            " {{ $labels.environment }}) registered with are missing from its heartbeats.",
            why="Long enough for a driver that is being reset. Only of an active node: one that is missing has an alert"
            " of its own.",
        ),
        about(
            "AuroraNodeGpuHot",
            received("node, gpu", "(aurora_node_gpu_temperature_celsius > 87)"),
            severity=routed("warning"),
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
        about(
            "AuroraNodeGpuUnhealthy",
            received(f"node, gpu, problem, {GRAVITY}", f"(\n{indented(problems(), 6)}\n    )"),
            severity=routed(
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
        about(
            "AuroraGpuIdle",
            received("node", "aurora_node_gpu_utilization_ratio", compared="< 0.05"),
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
