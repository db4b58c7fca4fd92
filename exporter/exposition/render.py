"""From nodes to the lines of one family. Pure functions; a form is what `Family.form` gives."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence

from exporter.domain.clock import MILLISECOND
from exporter.domain.heartbeat import GpuHealth, GpuReading, Throttling
from exporter.domain.node import Node
from exporter.domain.status import Status
from exporter.nodemap.nodemap import NodeMap

Lines = Callable[[str, Sequence[Node]], str]


def escape(text: str) -> str:
    """A label's value between its quotes; both formats agree on it."""
    if "\\" in text or '"' in text or "\n" in text:
        return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return text


def number(value: float) -> str:
    """The shortest text that reads back as the same double; whole numbers without `.0`."""
    return repr(value).removesuffix(".0")


def seconds(ns: int) -> str:
    """Nanoseconds as seconds, rounded down to a millisecond."""
    return f"{ns // MILLISECOND / 1000:.3f}"


def info(template: str, nodes: Sequence[Node]) -> str:
    """What each node says it is."""
    return "".join(
        [
            template
            % (
                (facts := node.record.registration).name,
                facts.role,
                facts.vpn_ip,
                facts.public_ip,
                escape(facts.gpu_type),
                escape(facts.os),
                escape(facts.environment),
                escape(facts.site),
                1,
            )
            for node in nodes
        ]
    )


def agents(form: str, nodes: Sequence[Node]) -> str:
    """The agent of each node, where it named itself."""
    return "".join(
        [
            form % (node.name, escape(agent.name), escape(agent.version), 1)
            for node in nodes
            if (agent := node.record.registration.agent) is not None
        ]
    )


def disruptions(form: str, nodes: Sequence[Node]) -> str:
    """The start of each disruption with which a node went missing."""
    return "".join(
        [form % (node.name, each.scope.value, seconds(each.began_ns)) for node in nodes for each in node.disruptions]
    )


def renames(form: str, nodes: Sequence[Node]) -> str:
    """The name that the same machine has now, of each node that was renamed."""
    return "".join([form % (node.name, node.renamed_to, 1) for node in nodes if node.renamed_to])


def each(of: Callable[[Node], int | str | None]) -> Lines:
    """One value a node; None leaves the node out."""

    def lines(template: str, nodes: Sequence[Node]) -> str:
        head, tail, end = template.split("%s")
        return "".join(
            [
                f"{head}{node.record.registration.name}{tail}{value}{end}"
                for node in nodes
                if (value := of(node)) is not None
            ]
        )

    return lines


def one_of(states: type[enum.StrEnum], of: Callable[[Node], enum.StrEnum]) -> Lines:
    """A line for each state: 1 for the one that the node is in."""

    def lines(template: str, nodes: Sequence[Node]) -> str:
        # What stands before, between and after the node's name, which joins it: several times as fast as `%`.
        parts = {
            state: "".join([template % ("%s", other.value, int(other is state)) for other in states]).split("%s")
            for state in states
        }
        return "".join([node.record.registration.name.join(parts[of(node)]) for node in nodes])

    return lines


def entered(template: str, nodes: Sequence[Node]) -> str:
    """How often each status was entered."""
    head, status, value, end = template.split("%s")
    active, warning, offline = [f"{status}{each_status}{value}" for each_status in Status]
    return "".join(
        [
            f"{head}{(name := node.record.registration.name)}{active}{node.entered_active}{end}"
            f"{head}{name}{warning}{node.entered_warning}{end}"
            f"{head}{name}{offline}{node.entered_offline}{end}"
            for node in nodes
        ]
    )


def per_gpu(of: Callable[[GpuReading], float | None]) -> Lines:
    """One value per GPU for which the node's latest readings have it."""

    def lines(template: str, nodes: Sequence[Node]) -> str:
        head, gpu, uuid, tail, end = template.split("%s")
        return "".join(
            [
                f"{head}{node.record.registration.name}{gpu}{reading.index}{uuid}{escape(reading.uuid)}"
                f"{tail}{number(value)}{end}"
                for node in nodes
                for reading in node.readings
                if (value := of(reading)) is not None
            ]
        )

    return lines


def per_health(of: Callable[[GpuHealth], float | None]) -> Lines:
    """One value for each GPU whose health has it."""

    def lines(form: str, nodes: Sequence[Node]) -> str:
        return "".join(
            [
                form % (node.name, index, escape(uuid), number(float(value)))
                for node in nodes
                if node.gpu_health
                for index, uuid, health in node.gpu_health
                if (value := of(health)) is not None
            ]
        )

    return lines


def xid_errors(form: str, nodes: Sequence[Node]) -> str:
    """How often each XID came, by GPU and code."""
    return "".join(
        [
            form % (node.name, index, escape(uuid), code, count)
            for node in nodes
            if node.gpu_health
            for index, uuid, health in node.gpu_health
            for code, count in sorted((health.xid_errors or {}).items())
        ]
    )


def throttled(form: str, nodes: Sequence[Node]) -> str:
    """Whether each reason slows each GPU down."""
    return "".join(
        [
            form % (node.name, index, escape(uuid), reason.value, int(reason in health.throttled))
            for node in nodes
            if node.gpu_health
            for index, uuid, health in node.gpu_health
            if health.throttled is not None
            for reason in Throttling
        ]
    )


def held(template: str, nodes: Sequence[Node], node_map: NodeMap) -> str:
    """Whether each node's status is frozen."""
    now_ns = node_map.clock.monotonic_ns()
    return "".join([template % (node.name, int(node_map.held_since_ns(node, now_ns) is not None)) for node in nodes])


def ages(nodes: Sequence[Node], now_ns: int) -> tuple[float, ...]:
    """Time since each node's last heartbeat."""
    # Not max(), whose call costs as much as all the rest.
    return tuple(
        [
            (now_ns - node.last_heartbeat_ns) // MILLISECOND / 1000 if now_ns > node.last_heartbeat_ns else 0
            for node in nodes
        ]
    )


def last_seen(nodes: Sequence[Node], _now_ns: int) -> tuple[float, ...]:
    """Time of each node's last heartbeat, since the epoch."""
    return tuple([node.last_seen_ns // MILLISECOND / 1000 for node in nodes])
