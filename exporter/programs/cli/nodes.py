"""`aurora-cli nodes` and `aurora-cli node NAME`."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from exporter.client.client import JsonReply
from exporter.client.documents import GpuReading, Node, NodePage
from exporter.client.endpoint import node_path
from exporter.domain.clock import SECOND
from exporter.programs.cli.context import Context
from exporter.programs.cli.humanize import age, ago, from_now, number, phase, plain, transport
from exporter.programs.cli.screen import redraw
from exporter.programs.cli.tables import AddressCell, StatusCell, facts, table
from exporter.programs.cli.terminal import Terminal

HEADER = ("NAME", "ROLE", "STATUS", "IP", "GPU")
WIDE_HEADER = (*HEADER, "SITE", "SEEN")
NOTE = "NOTE"
LEAST = (12, 7, 7, 10)
"""A small mesh's widths: its columns stay where they are when a status changes or a filter is given."""
KNOWN = {"gpu", "gpu_count", "gpu_type", "gpu_memory"}
GIB = 2**30
UNKNOWN = "-"
FREE_VRAM = "free_vram"
WORST_FIRST = {"offline": 0, "warning": 1, "active": 2}
IN_SERVICE = "in_service"


def list_all(context: Context) -> None:
    """All nodes that pass the filters: once, or again and again until interrupted."""
    if context.arguments.watch_ns is None:
        _list_once(context)
        return
    for draw in redraw(context, lambda: _lines(context)):
        draw()
        time.sleep(context.arguments.watch_ns / SECOND)


def show_one(context: Context) -> None:
    """All that is known of one node."""
    reply = context.client.get(node_path(context.arguments.name))
    if context.arguments.json:
        context.show_json(reply.document())
    else:
        context.show(show_node(reply.of(Node), reply.at_ns, context.terminal))


def _list_once(context: Context) -> None:
    pages = list(_pages(context))
    nodes = _in_order(context.arguments.sort, {name: node for _, page in pages for name, node in page.nodes.items()})
    if context.arguments.json:
        documents = [reply.document() for reply, _ in pages]
        found = {name: node for document in documents for name, node in document["nodes"].items()}
        context.show_json({**documents[-1], "nodes": {name: found[name] for name in nodes}})
        return
    context.show(list_nodes(nodes.values(), pages[-1][0].at_ns, context.terminal, wide=context.arguments.wide))
    if not nodes:
        context.complain("no node passes these filters" if context.filters() else "no node is registered yet")


def _lines(context: Context) -> Iterator[str]:
    pages = list(_pages(context))
    nodes = _in_order(context.arguments.sort, {name: node for _, page in pages for name, node in page.nodes.items()})
    return list_nodes(nodes.values(), pages[-1][0].at_ns, context.terminal, wide=context.arguments.wide)


def _pages(context: Context) -> Iterator[tuple[JsonReply, NodePage]]:
    query: dict[str, Any] = context.filters()
    if context.arguments.sort == FREE_VRAM:
        query["sort"] = FREE_VRAM
    return context.client.pages(**query)


def _in_order(order: str | None, nodes: dict[str, Node]) -> dict[str, Node]:
    """Sort the nodes; None, or an order that the registry applies itself, keeps the registry's."""
    keys = {
        "name": lambda node: node.name.lower(),
        "role": lambda node: node.role,
        "status": lambda node: WORST_FIRST.get(node.status, 3),
        "site": lambda node: site_of(node) or "\uffff",
        "last_seen": lambda node: node.last_seen,
        "gpus": lambda node: -node.gpu_count,
    }
    if order not in keys:
        return nodes
    return {node.name: node for node in sorted(nodes.values(), key=keys[order])}


def list_nodes(nodes: Iterable[Node], now_ns: int, terminal: Terminal, *, wide: bool = False) -> Iterator[str]:
    """One line a node, in the order given. What a status does not say stands in a last column, where there is any."""
    listed = list(nodes)
    header: Sequence[str] = WIDE_HEADER if wide else HEADER
    rows = [_row(node, now_ns, wide=wide) for node in listed]
    notes = [note(node) for node in listed]
    if any(notes):
        header = (*header, NOTE)
        rows = [(*row, text) for row, text in zip(rows, notes, strict=True)]
    return table([header, *rows], terminal, least=LEAST)


def _row(node: Node, now_ns: int, *, wide: bool) -> tuple[str, ...]:
    row = (node.name, node.role, StatusCell(node.status), AddressCell(node.vpn_ip or UNKNOWN), node.gpu_label)
    return (*row, site_of(node) or UNKNOWN, age(node.last_seen, now_ns)) if wide else row


def note(node: Node) -> str:
    """What its status does not say: that it is frozen, out of service, or other than the node says."""
    notes = []
    if node.held:
        notes.append("status frozen")
    if node.lifecycle != IN_SERVICE:
        notes.append(": ".join(filter(None, (phase(node.lifecycle), node.lifecycle_reason))))
    if node.reported_status:
        notes.append(f"reports {node.reported_status}")
    return ", ".join(notes)


def site_of(node: Node) -> str:
    """Its site, where it has one."""
    site = node.metadata.get("site")
    return site if isinstance(site, str) else ""


def show_node(node: Node, now_ns: int, terminal: Terminal) -> Iterator[str]:
    """All that is known of the node: its facts, then its GPUs as they were last observed. `now_ns`: wall clock."""
    pairs = [
        ("name", node.name),
        ("role", node.role),
        ("status", StatusCell(node.status)),
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
    text = ", ".join(filter(None, remarks))
    return f"{timestamp} ({text})" if text else timestamp


def _over(name: str) -> str:
    return f"over {transport(name)}" if name else ""


def _held(node: Node, now_ns: int) -> str:
    if not node.held:
        return ""
    return f"since {_when(node.held_since, ago(node.held_since, now_ns))}: its status is frozen"


def _lifecycle(node: Node, now_ns: int) -> str:
    text = phase(node.lifecycle)
    if node.lifecycle_until:
        text += f" until {_when(node.lifecycle_until, from_now(node.lifecycle_until, now_ns))}"
    return text


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
