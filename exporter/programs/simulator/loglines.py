"""One line of standard output for each turn of an incident."""

from __future__ import annotations

from collections.abc import Sequence

from exporter.domain.duration import format_duration
from exporter.programs.simulator.incident import Incident, Kind
from exporter.programs.simulator.population import Member
from exporter.programs.simulator.schedule import Turn

MAX_NAMES = 5


def line(turn: Turn, incident: Incident, members: Sequence[Member]) -> str:
    """Time since the start as the script has it, `begins` or `ends`, the kind, and the nodes."""
    begins = "begins" if turn.begins else "ends"
    return f"{format_duration(turn.at_ns):>8}  {begins:<6}  {incident.kind:<15}  {_target_names(incident, members)}"


def _target_names(incident: Incident, members: Sequence[Member]) -> str:
    if incident.kind is Kind.GARBAGE_ON_BUS:
        return "the bus"
    if incident.kind is Kind.SITE_FAILS:
        return f"{members[0].site.name} ({len(members)} nodes)"
    names = ", ".join(member.name for member in members[:MAX_NAMES])
    more = len(members) - MAX_NAMES
    return f"{names} and {more} more" if more > 0 else names
