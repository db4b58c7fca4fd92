"""`aurora-cli topology` and `aurora-cli stats`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from exporter.programs.cli.humanize import count, listed, number
from exporter.programs.cli.responses import Connection, Stats, Topology
from exporter.programs.cli.tables import facts
from exporter.programs.cli.terminal import Terminal
from exporter.programs.cli.wrap import hanging, paragraph


def show_topology(topology: Topology, terminal: Terminal) -> Iterator[str]:
    """Connections by type; sources that reach the same targets share a line. A status other than active is told."""
    shown = {vertex.id: f"{vertex.id} ({vertex.status})" for vertex in topology.nodes if vertex.status != "active"}
    by_type: dict[str, list[Connection]] = defaultdict(list)
    for connection in topology.connections:
        by_type[connection.type].append(connection)
    total = count(len(topology.connections), "connection")
    yield from paragraph(f"{count(len(topology.nodes), 'node')}, {total}", terminal)
    for name, connections in by_type.items():
        yield ""
        yield from paragraph(name, terminal)
        for targets, sources in _by_targets(connections).items():
            told = f"{_named(sources, shown)} -> {_named(targets, shown)}"
            yield from hanging(told, terminal)
    if topology.connections_omitted:
        yield ""
        yield from paragraph(f"{count(topology.connections_omitted, 'connection')} more left out", terminal)


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


def show_stats(stats: Stats, terminal: Terminal) -> Iterator[str]:
    """What the mesh adds up to; VRAM in GB of 2^30 bytes."""
    roles = listed(f"{quantity} {role}" for role, quantity in stats.nodes_by_role.items())
    statuses = f"{stats.active_nodes} active, {stats.warning_nodes} warning, {stats.offline_nodes} offline"
    pairs = [
        ("nodes", f"{stats.total_nodes} ({statuses})"),
        ("roles", roles),
        ("GPUs", f"{stats.total_gpus} ({stats.active_gpus} on active nodes)"),
        ("VRAM", f"{number(stats.total_vram_gb)} GB ({number(stats.active_vram_gb)} GB on active nodes)"),
    ]
    return facts(pairs, terminal)
