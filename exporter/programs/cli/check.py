"""`aurora-cli check`: one line and an exit status, as monitoring plugins have them.

Source: the Monitoring Plugins Development Guidelines.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from exporter.client.documents import Node
from exporter.client.errors import ClientError
from exporter.programs.cli.context import Context
from exporter.programs.cli.failures import Failure, failure_of
from exporter.programs.cli.humanize import count, listed, number, phase
from exporter.programs.cli.terminal import escape_control

IN_SERVICE = "in_service"
MAX_NAMED = 10


class ExitStatus(enum.IntEnum):
    """A plugin's exit status."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


_OF_STATUS = {"active": ExitStatus.OK, "warning": ExitStatus.WARNING, "offline": ExitStatus.CRITICAL}
_GRAVITY = (ExitStatus.OK, ExitStatus.UNKNOWN, ExitStatus.WARNING, ExitStatus.CRITICAL)


_LABELS = {"active_nodes": "active nodes", "active_gpus": "active GPUs", "active_vram_gb": "GB of active VRAM"}


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What was found; `figures` are the plugin's performance data, by name."""

    state: ExitStatus
    text: str
    figures: dict[str, float]


def check(context: Context) -> int:
    """Print the verdict; its exit status."""
    try:
        verdict = _verdict(context)
    except ClientError as error:
        verdict = CheckResult(ExitStatus.UNKNOWN, str(failure_of(error)), {})
    except Failure as failure:
        verdict = CheckResult(ExitStatus.UNKNOWN, str(failure), {})
    if context.arguments.json:
        status = verdict.state.name.lower()
        context.show_json({"status": status, "message": verdict.text, "figures": verdict.figures})
    else:
        figures = " ".join(f"{name}={number(value)}" for name, value in verdict.figures.items())
        # A bar would begin the performance data.
        text = escape_control(" ".join(verdict.text.split())).replace("|", "/")
        context.show([f"AURORA {verdict.state.name} - {text}" + (f" | {figures}" if figures else "")])
    return int(verdict.state)


def _verdict(context: Context) -> CheckResult:
    arguments = context.arguments
    if arguments.name:
        nodes = [context.client.node(arguments.name)]
    else:
        filters = {name: getattr(arguments, name) for name in ("role", "environment", "site")}
        nodes = list(context.client.nodes(**filters).values())
    verdict = judge(nodes)
    least = {
        "active_nodes": arguments.min_active_nodes,
        "active_gpus": arguments.min_active_gpus,
        "active_vram_gb": arguments.min_active_vram_gb,
    }
    low = [
        f"{number(verdict.figures[name])} {_LABELS[name]}, expected at least {amount}"
        for name, amount in least.items()
        if amount is not None and verdict.figures[name] < amount
    ]
    if low:
        return CheckResult(ExitStatus.CRITICAL, f"{listed(low)}; {verdict.text}", verdict.figures)
    if any(amount is not None for amount in least.values()):
        # A check for a minimum does not require all.
        return CheckResult(ExitStatus.OK, verdict.text, verdict.figures)
    return verdict


def judge(nodes: Sequence[Node]) -> CheckResult:
    """The gravest of the nodes that are in service; none at all is unknown."""
    states = {node.name: _state(node) for node in nodes}
    gravest = max(states.values(), key=_GRAVITY.index, default=ExitStatus.UNKNOWN)
    wrong = [_described(node) for node in nodes if states[node.name] is not ExitStatus.OK]
    active = [node for node in nodes if node.status == "active"]
    figures = {
        "nodes": float(len(nodes)),
        "active_nodes": float(len(active)),
        "active_gpus": float(sum(node.gpu_count for node in active)),
        "active_vram_gb": sum(node.vram_gb for node in active),
    }
    if not nodes:
        return CheckResult(ExitStatus.UNKNOWN, "no node is registered that passes the filters", figures)
    if len(nodes) == 1:
        return CheckResult(gravest, _described(nodes[0]), figures)
    more = f", and {len(wrong) - MAX_NAMED} more" if len(wrong) > MAX_NAMED else ""
    summary = f"{len(active)} of {count(len(nodes), 'node')} active"
    named = f": {listed(wrong[:MAX_NAMED])}{more}" if wrong else ""
    return CheckResult(gravest, f"{summary}{named}", figures)


def _state(node: Node) -> ExitStatus:
    if node.lifecycle != IN_SERVICE:
        return ExitStatus.OK
    return ExitStatus.UNKNOWN if node.held else _OF_STATUS.get(node.status, ExitStatus.UNKNOWN)


def _described(node: Node) -> str:
    remarks = [node.status]
    if node.held:
        remarks.append("frozen: the registry does not receive")
    if node.lifecycle != IN_SERVICE:
        remarks.append(phase(node.lifecycle))
    if node.status != "active" or node.held:
        remarks.append(f"last seen {node.last_seen}")
    return f"{node.name} is {listed(remarks)}"
