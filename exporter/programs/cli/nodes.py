"""`aurora-cli nodes` and `aurora-cli node NAME`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from exporter.programs.cli.humanize import ago, from_now, number, phase, plain, transport
from exporter.programs.cli.responses import GpuReading, Node
from exporter.programs.cli.tables import Status, facts, table
from exporter.programs.cli.terminal import Terminal

HEADER = ("NAME", "ROLE", "STATUS", "IP", "GPU")
LEAST = (12, 7, 7, 10)
"""A small mesh's widths: its columns stay where they are when a status changes or a filter is given."""
KNOWN = {"gpu", "gpu_count", "gpu_type", "gpu_memory"}
GIB = 2**30
UNKNOWN = "-"


def list_nodes(nodes: Iterable[Node], terminal: Terminal) -> Iterator[str]:
    """One line a node, in the order given."""
    rows = [(node.name, node.role, Status(node.status), node.vpn_ip or UNKNOWN, node.gpu_label) for node in nodes]
    return table([HEADER, *rows], terminal, least=LEAST)


def show_node(node: Node, now_ns: int, terminal: Terminal) -> Iterator[str]:
    """All that is known of the node: its facts, then its GPUs as they were last observed. `now_ns`: wall clock."""
    pairs = [
        ("name", node.name),
        ("role", node.role),
        ("status", Status(node.status)),
        ("held", _held(node, now_ns)),
        ("reported", node.reported_status or ""),
        ("last seen", _when(node.last_seen, ago(node.last_seen, now_ns), _over(node.transport))),
        ("registered", _when(node.registered_at, ago(node.registered_at, now_ns))),
        ("lifecycle", _lifecycle(node, now_ns)),
        ("reason", node.lifecycle_reason),
        ("vpn ip", node.vpn_ip or UNKNOWN),
        ("public ip", node.public_ip or UNKNOWN),
        ("gpu", _gpu(node)),
        *((key, plain(value)) for key, value in node.capabilities.items() if key not in KNOWN),
        *((key, plain(value)) for key, value in node.metadata.items()),
    ]
    yield from facts(pairs, terminal)
    if node.gpus:
        yield ""
        yield from table([("GPU", "LOAD", "USED", "TEMP", "POWER", "UUID"), *map(_reading, node.gpus)], terminal)


def _when(timestamp: str, *remarks: str) -> str:
    told = ", ".join(filter(None, remarks))
    return f"{timestamp} ({told})" if told else timestamp


def _over(name: str) -> str:
    return f"over {transport(name)}" if name else ""


def _held(node: Node, now_ns: int) -> str:
    if not node.held:
        return ""
    return f"since {_when(node.held_since, ago(node.held_since, now_ns))}: its status waits"


def _lifecycle(node: Node, now_ns: int) -> str:
    told = phase(node.lifecycle)
    if node.lifecycle_until:
        told += f" until {_when(node.lifecycle_until, from_now(node.lifecycle_until, now_ns))}"
    return told


def _gpu(node: Node) -> str:
    memory = node.capabilities.get("gpu_memory")
    if node.gpu_count and isinstance(memory, int | float):
        return f"{node.gpu_label}, {number(memory)} GB"
    return node.gpu_label


def _reading(gpu: GpuReading) -> tuple[str, ...]:
    return (
        str(gpu.index),
        UNKNOWN if gpu.utilization is None else f"{gpu.utilization:.0%}",
        UNKNOWN if gpu.memory_used_bytes is None else f"{number(gpu.memory_used_bytes / GIB)} GB",
        UNKNOWN if gpu.temperature_celsius is None else f"{number(gpu.temperature_celsius)} °C",
        UNKNOWN if gpu.power_watts is None else f"{number(gpu.power_watts)} W",
        gpu.uuid or UNKNOWN,
    )
