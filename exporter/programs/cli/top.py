"""`aurora-cli top`: the mesh at a glance, live."""

from __future__ import annotations

import select
import sys
import termios
import time
import tty
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from exporter.client.documents import Node
from exporter.domain.clock import SECOND
from exporter.domain.timestamp import format_timestamp
from exporter.programs.cli.context import Context
from exporter.programs.cli.humanize import age, count, listed, number
from exporter.programs.cli.nodes import GIB, IN_SERVICE, WORST_FIRST, note
from exporter.programs.cli.screen import redraw
from exporter.programs.cli.tables import StatusCell, table
from exporter.programs.cli.terminal import Terminal

HEADER = ("NAME", "STATUS", "SEEN", "GPUS", "LOAD", "VRAM", "HOT", "NOTE")
BAR, WIDE = 10, 80
"""How long a bar is, and from which width on there is room for it."""
UNKNOWN = "-"


def watch(context: Context) -> None:
    """One look, or looks without end until q is pressed."""
    if context.arguments.once:
        nodes, at_ns, health = _look(context)
        if context.arguments.json:
            context.show_json({"health": health, "nodes": context.client.get("/nodes").document()["nodes"]})
        else:
            context.show(picture(context.client.url, nodes, at_ns, str(health), context.terminal))
        return
    with _keys() as pressed:
        for draw in redraw(context, lambda: _picture(context)):
            draw()
            if pressed(context.arguments.interval_ns / SECOND):
                return


def _picture(context: Context) -> Iterator[str]:
    nodes, at_ns, health = _look(context)
    yield from picture(context.client.url, nodes, at_ns, health, context.terminal)
    if sys.stdout.isatty():
        yield ""
        yield "q ends"


def _look(context: Context) -> tuple[list[Node], int, str]:
    health = context.client.get("/health").document()
    pages = list(context.client.pages())
    nodes = [node for _, page in pages for node in page.nodes.values()]
    return nodes, pages[-1][0].at_ns, str(health.get("status", "?")) if isinstance(health, dict) else "?"


def picture(url: str, nodes: Sequence[Node], at_ns: int, health: str, terminal: Terminal) -> Iterator[str]:
    """Totals, then a line a node: the worst first, then the busiest."""
    width = terminal.width or 1000
    statuses = Counter(node.status for node in nodes)
    active = [node for node in nodes if node.status == "active"]
    away = sum(node.lifecycle != IN_SERVICE for node in nodes)
    frozen = sum(node.held for node in nodes)
    yield terminal.shorten(f"{url}  registry {health}  {format_timestamp(at_ns)}", width)
    parts = [f"{statuses[status]} {status}" for status in ("active", "warning", "offline")]
    parts += [f"{away} out of service"] if away else []
    parts += [f"{frozen} frozen"] if frozen else []
    yield terminal.shorten(f"{count(len(nodes), 'node')}: {listed(parts)}", width)
    yield terminal.shorten(_gpus(active), width)
    yield ""
    ranked = sorted(nodes, key=lambda node: (WORST_FIRST.get(node.status, 0), -(_load(node) or 0), node.name))
    bar = BAR if width >= WIDE else 0
    yield from table([HEADER, *(_row(node, at_ns, bar) for node in ranked)], terminal, least=(12, 7))


def _gpus(active: Sequence[Node]) -> str:
    total = sum(node.gpu_count for node in active)
    loads = [gpu.utilization for node in active for gpu in node.gpus if gpu.utilization is not None]
    used = sum(gpu.memory_used_bytes or 0 for node in active for gpu in node.gpus) / GIB
    vram = sum(node.vram_gb for node in active)
    power = sum(gpu.power_watts or 0 for node in active for gpu in node.gpus)
    parts = [count(total, "active GPU")]
    parts += [f"load {sum(loads) / len(loads):.0%}"] if loads else []
    parts += [f"VRAM {number(used)} of {number(vram)} GB"] if vram else []
    parts += [f"{number(power)} W"] if power else []
    return listed(parts)


def _row(node: Node, at_ns: int, bar: int) -> tuple[str, ...]:
    load = _load(node)
    used = [gpu.memory_used_bytes for gpu in node.gpus if gpu.memory_used_bytes is not None]
    hot = [gpu.temperature_celsius for gpu in node.gpus if gpu.temperature_celsius is not None]
    return (
        node.name,
        StatusCell(node.status),
        age(node.last_seen, at_ns),
        str(node.gpu_count) if node.gpu_count else UNKNOWN,
        UNKNOWN if load is None else f"{'#' * round(load * bar):.<{bar}} {load:.0%}".strip(),
        f"{number(sum(used) / GIB)}/{number(node.vram_gb)} GB" if used else UNKNOWN,
        f"{number(max(hot))} °C" if hot else UNKNOWN,
        note(node),
    )


def _load(node: Node) -> float | None:
    loads = [min(max(gpu.utilization, 0.0), 1.0) for gpu in node.gpus if gpu.utilization is not None]
    return sum(loads) / len(loads) if loads else None


@contextmanager
def _keys() -> Iterator[_Pressed]:
    """Whether q was pressed within so many seconds; where there is no keyboard, they only pass."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        yield _Pressed(None)
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        yield _Pressed(descriptor)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


class _Pressed:
    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def __call__(self, seconds: float) -> bool:
        if self._descriptor is None:
            time.sleep(seconds)
            return False
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if select.select([self._descriptor], [], [], left)[0] and sys.stdin.read(1) in {"q", "Q", ""}:
                return True
        return False
