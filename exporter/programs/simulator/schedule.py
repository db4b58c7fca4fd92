"""When what is due: heartbeats spread evenly over the interval, incidents as their script has them. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from exporter.domain.duration import format_duration
from exporter.programs.simulator.incident import Incident, IncidentKind
from exporter.programs.simulator.population import Member

MAX_NAMES = 5
"""Of the nodes of an incident that its line names."""


@dataclass(frozen=True, slots=True, order=True)
class Turn:
    """An incident begins or ends. In order of time; at one time, ends come first."""

    at_ns: int
    begins: bool
    position: int
    """Of the incident in its script."""
    number: int
    """Of the occurrence, from 0."""


def due(nodes: int, interval_ns: int, after_ns: int, upto_ns: int) -> Iterator[int]:
    """Indexes of the nodes whose heartbeat is due after the one moment and up to the other, in order.

    Each node once at most: what a stall made miss is not made up.
    """
    first, last = after_ns * nodes // interval_ns + 1, upto_ns * nodes // interval_ns
    for slot in range(max(first, last - nodes + 1), last + 1):
        yield slot % nodes


def next_due_ns(nodes: int, interval_ns: int, after_ns: int) -> int:
    """When, after that moment, the next heartbeat of any node is due."""
    slot = after_ns * nodes // interval_ns + 1
    return -(-slot * interval_ns // nodes)


def turns(incidents: Sequence[Incident]) -> Iterator[Turn]:
    """All beginnings and ends in order of time; without end where an incident repeats."""
    return heapq.merge(*(_turns_of(position, incident) for position, incident in enumerate(incidents)))


def _turns_of(position: int, incident: Incident) -> Iterator[Turn]:
    number, at_ns = 0, incident.at_ns
    while True:
        yield Turn(at_ns, begins=True, position=position, number=number)
        if incident.for_ns is None:
            return
        yield Turn(at_ns + incident.for_ns, begins=False, position=position, number=number)
        if incident.every_ns is None:
            return
        number, at_ns = number + 1, at_ns + incident.every_ns


def log_line(turn: Turn, incident: Incident, members: Sequence[Member]) -> str:
    """A turn for standard output: time as the script has it, `begins` or `ends`, the kind, and the nodes."""
    begins = "begins" if turn.begins else "ends"
    return f"{format_duration(turn.at_ns):>8}  {begins:<6}  {incident.kind:<15}  {_target_names(incident, members)}"


def _target_names(incident: Incident, members: Sequence[Member]) -> str:
    if incident.kind is IncidentKind.GARBAGE_ON_BUS:
        return "the bus"
    if incident.kind is IncidentKind.SITE_FAILS:
        return f"{members[0].site.name} ({len(members)} nodes)"
    names = ", ".join(member.name for member in members[:MAX_NAMES])
    more = len(members) - MAX_NAMES
    return f"{names} and {more} more" if more > 0 else names
