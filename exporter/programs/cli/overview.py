"""`aurora-cli topology` and `aurora-cli stats`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from exporter.client.documents import Connection, Stats, Topology
from exporter.programs.cli.context import Context
from exporter.programs.cli.humanize import count, listed, number
from exporter.programs.cli.tables import facts
from exporter.programs.cli.terminal import Terminal
from exporter.programs.cli.wrap import hanging, paragraph


def topology(context: Context) -> None:
    """The connections between nodes."""
    reply = context.client.get("/topology")
    if context.arguments.json:
        context.show_json(reply.document())
    else:
        context.show(show_topology(reply.of(Topology), context.terminal))


def stats(context: Context) -> None:
    """What the mesh adds up to."""
    reply = context.client.get("/stats")
    if context.arguments.json:
        context.show_json(reply.document())
    else:
        context.show(show_stats(reply.of(Stats), context.terminal))


def show_topology(mesh: Topology, terminal: Terminal) -> Iterator[str]:
    """Connections by type; sources that reach the same targets share a line. A status other than active is shown."""
    shown = {vertex.id: f"{vertex.id} ({vertex.status})" for vertex in mesh.nodes if vertex.status != "active"}
    by_type: dict[str, list[Connection]] = defaultdict(list)
    for connection in mesh.connections:
        by_type[connection.type].append(connection)
    total = count(len(mesh.connections), "connection")
    yield from paragraph(f"{count(len(mesh.nodes), 'node')}, {total}", terminal)
    for name, connections in by_type.items():
        yield ""
        yield from paragraph(name, terminal)
        for targets, sources in _by_targets(connections).items():
            text = f"{_named(sources, shown)} -> {_named(targets, shown)}"
            yield from hanging(text, terminal)
    if mesh.connections_omitted:
        yield ""
        yield from paragraph(f"{count(mesh.connections_omitted, 'connection')} more left out", terminal)


def _by_targets(connections: Iterable[Connection]) -> dict[tuple[str, ...], list[str]]:
    targets: dict[str, list[str]] = defaultdict(list)
    for connection in connections:
        targets[connection.source].append(connection.target)
    sources: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for source, reached in targets.items():
        sources[tuple(reached)].append(source)
    return sources


def _named(names: Iterable[str], shown: dict[str, str]) -> str:
    return listed(shown.get(name, name) for name in names)


def show_stats(totals: Stats, terminal: Terminal) -> Iterator[str]:
    """What the mesh adds up to; VRAM in GB of 2^30 bytes."""
    roles = listed(f"{quantity} {role}" for role, quantity in totals.nodes_by_role.items())
    statuses = f"{totals.active_nodes} active, {totals.warning_nodes} warning, {totals.offline_nodes} offline"
    pairs = [
        ("nodes", f"{totals.total_nodes} ({statuses})"),
        ("roles", roles),
        ("GPUs", f"{totals.total_gpus} ({totals.active_gpus} on active nodes)"),
        ("VRAM", f"{number(totals.total_vram_gb)} GB ({number(totals.active_vram_gb)} GB on active nodes)"),
    ]
    return facts(pairs, terminal)
