"""Which nodes an incident affects."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fnmatch import fnmatchcase

from exporter.domain.errors import Fault, Invalid, closest
from exporter.domain.text import shown
from exporter.programs.simulator.incident import Incident, IncidentKind
from exporter.programs.simulator.population import Member
from exporter.programs.simulator.seededrandom import draw

_NEEDS_GPU = frozenset({IncidentKind.GPU_LOST, IncidentKind.GPU_HOT})


def select_targets(incident: Incident, number: int, members: Sequence[Member], seed: int) -> tuple[int, ...]:
    """Indexes of the members that the incident affects at its occurrence `number` (from 0), ascending.

    Those that no name fixes are drawn again for each occurrence. The lead is spared unless name, role or site say so.
    """
    if incident.kind is IncidentKind.GARBAGE_ON_BUS:
        return ()
    key = (seed, incident.kind, incident.at_ns, number)
    if incident.kind is IncidentKind.SITE_FAILS:
        sites = sorted({member.site.name for member in members})
        site = incident.site or sites[int(draw(*key) * len(sites))]
        return tuple(index for index, member in enumerate(members) if member.site.name == site)
    able = [index for index, member in enumerate(members) if _fits(incident, member)]
    if incident.nodes:
        return tuple(able)
    size = incident.count if incident.share is None else math.ceil(incident.share * len(able))
    return tuple(sorted(sorted(able, key=lambda index: draw(*key, members[index].name))[:size]))


def check_targets(incidents: Sequence[Incident], members: Sequence[Member]) -> None:
    """Raise Invalid for each incident that names a node or site that does not exist, or that matches no node."""
    names = [member.name for member in members]
    sites = {member.site.name for member in members}
    faults: list[Fault] = []
    for position, incident in enumerate(incidents):
        absent = [
            _absent(f"[{position}].nodes[{index}]", "node", pattern, names)
            for index, pattern in enumerate(incident.nodes)
            if not any(fnmatchcase(name, pattern) for name in names)
        ]
        if incident.site and incident.site not in sites:
            absent.append(_absent(f"[{position}].site", "site", incident.site, sorted(sites)))
        faults += absent
        if (
            not absent
            and incident.kind is not IncidentKind.GARBAGE_ON_BUS
            and not select_targets(incident, 0, members, 0)
        ):
            faults.append(Fault(f"[{position}]", f"{incident.kind} matches no node of this mesh"))
    if faults:
        raise Invalid(faults)


def _fits(incident: Incident, member: Member) -> bool:
    if incident.kind in _NEEDS_GPU and member.gpus <= incident.gpu:
        return False
    if incident.nodes:
        return any(fnmatchcase(member.name, pattern) for pattern in incident.nodes)
    if incident.site and member.site.name != incident.site:
        return False
    return member.role == incident.role if incident.role else member.role != "lead" or bool(incident.site)


def _absent(field: str, what: str, named: str, known: Sequence[str]) -> Fault:
    close = closest(named, known)
    meant = f"; did you mean {close}?" if close else f": there are {len(known)}, such as {known[-1]}"
    return Fault(field, f"no {what} of this mesh is {shown(named)}{meant}")
