"""What a GPU does at a time of day: a function of seed, node, GPU and time, and of nothing else.

Work comes in jobs. A node's time is cut into slots of its own length; what runs in a slot is drawn once, by how busy
such a node is at that hour. Power follows what was asked for within seconds, temperature within minutes: both are taken
from the demand of a moment before, so that nothing has to be remembered.
"""

from __future__ import annotations

import math

from exporter.domain.heartbeat import GpuReading
from exporter.programs.simulator.hardware import GpuModel
from exporter.programs.simulator.population import Member, SiteKind
from exporter.programs.simulator.seededrandom import draw, wander

HOURS = 24.0
MAX_CELSIUS = 88.0
"""Where the driver begins to throttle: load alone makes no GPU hotter."""
_MINUTE = 1 / 60
_RAMP = 2 * _MINUTE
_WARMING = (0.0, 1 * _MINUTE, 2.5 * _MINUTE, 5 * _MINUTE)
_IDLE_PERIOD_HOURS = 6.0
_IDLE_PERIODS = {SiteKind.RENTED: 0.06, SiteKind.LAB: 0.15, SiteKind.LAPTOPS: 0.25}
"""How many outages of six hours a GPU spends without any work."""
_TOGETHER = 0.6
"""How many jobs take all GPUs of their node."""
_AMBIENT_CELSIUS = {SiteKind.RENTED: 27.0, SiteKind.LAB: 33.0, SiteKind.LAPTOPS: 38.0}
_RISE_CELSIUS = {SiteKind.RENTED: 45.0, SiteKind.LAB: 46.0, SiteKind.LAPTOPS: 42.0}


def reading(member: Member, gpu: int, hours: float, seed: int) -> GpuReading:
    """One GPU of the member, `hours` after the first midnight of the simulated world (any real number).

    ValueError where the member has no such GPU.
    """
    model = member.model
    if model is None or not 0 <= gpu < member.gpus:
        raise ValueError(f"{member.name} has no GPU {gpu}")
    recent = [_demand(member, gpu, hours - before, seed) for before in _WARMING]
    used = min(1.0, recent[0] * (0.94 + 0.06 * wander(hours * 40, seed, member.name, gpu, "ripple")))
    share = _power_share(sum(recent[:2]) / 2, wander(hours * 30, seed, member.name, gpu, "watts"))
    warmth = sum(_power_share(demand, 0.5) for demand in recent) / len(recent)
    return GpuReading(
        index=gpu,
        uuid=member.gpu_uuids[gpu],
        utilization=round(used, 3),
        memory_used_bytes=_memory(member, model, gpu, hours, seed),
        temperature_celsius=round(_celsius(member, gpu, hours, warmth, seed), 1),
        power_watts=round(model.idle_watts + share * (model.max_watts - model.idle_watts), 1),
    )


def busyness(kind: SiteKind, hour: float) -> float:
    """How many of such a site's GPUs have work at this hour of the day (0 up to 24)."""
    if kind is SiteKind.RENTED:
        return 0.86 + 0.06 * math.cos((hour - 15) / HOURS * 2 * math.pi)
    office = _between(hour, 9, 18)
    if kind is SiteKind.LAB:
        night = max(_between(hour, 20, 32), _between(hour + HOURS, 20, 32))
        return 0.08 + 0.6 * office + 0.45 * night
    return 0.04 + 0.16 * office + 0.1 * _between(hour, 19, 22)


def _between(hour: float, begin: float, end: float) -> float:
    """1 from begin to end, 0 an hour outside of them."""
    return max(0.0, min(1.0, hour - begin + 1, end + 1 - hour))


def _power_share(demand: float, noise: float) -> float:
    return min(1.0, 0.88 * math.pow(demand, 0.9) + 0.05 * demand * noise)


def _celsius(member: Member, gpu: int, hours: float, warmth: float, seed: int) -> float:
    kind = member.site.kind
    # The card in the middle gets the others' warm air.
    endpoint = 4 * draw(seed, member.name, gpu, "airflow")
    room = 2 * math.cos((hours - 16) / HOURS * 2 * math.pi) + 1.5 * wander(hours * 2, seed, member.name, "room")
    return min(MAX_CELSIUS, _AMBIENT_CELSIUS[kind] + endpoint + room + _RISE_CELSIUS[kind] * warmth)


def _memory(member: Member, model: GpuModel, gpu: int, hours: float, seed: int) -> int:
    slot, _, _ = _slot(member, hours, seed)
    if _work(member, gpu, slot, seed) and not _idle_period(member, gpu, hours, seed):
        part = 0.35 + 0.6 * draw(seed, member.name, _owner(member, gpu, slot, seed), slot, "memory")
    else:
        # What a desktop or a forgotten notebook keeps.
        part = 0.01 + 0.02 * draw(seed, member.name, gpu, slot, "leftover")
    return int(part * model.memory_bytes)


def _demand(member: Member, gpu: int, hours: float, seed: int) -> float:
    """What is asked of the GPU, 0 to 1; jobs begin and end within two minutes, not at once."""
    if _idle_period(member, gpu, hours, seed):
        return 0.0
    slot, since, left = _slot(member, hours, seed)
    level = _work(member, gpu, slot, seed)
    if not level:
        return 0.0
    period = hours % _IDLE_PERIOD_HOURS
    edge = min(since, left, period, _IDLE_PERIOD_HOURS - period) / _RAMP
    steady = level * (0.9 + 0.1 * wander(hours * 12, seed, member.name, _owner(member, gpu, slot, seed), "phase"))
    return min(1.0, edge) * steady


def _slot(member: Member, hours: float, seed: int) -> tuple[int, float, float]:
    """The slot's number, the hours since it began and those that are left."""
    length = 0.6 + 2.4 * draw(seed, member.name, "slot")
    slot, since = divmod(hours + length * draw(seed, member.name, "shift"), length)
    return int(slot), since, length - since


def _work(member: Member, gpu: int, slot: int, seed: int) -> float:
    """How much the slot's job takes of a GPU; 0 where there is none."""
    owner = _owner(member, gpu, slot, seed)
    length = 0.6 + 2.4 * draw(seed, member.name, "slot")
    hour = ((slot + 0.5 - draw(seed, member.name, "shift")) * length) % HOURS
    if draw(seed, member.name, owner, slot, "work") >= busyness(member.site.kind, hour):
        return 0.0
    size = draw(seed, member.name, owner, slot, "size")
    interactive = member.site.kind is not SiteKind.RENTED and _between(hour, 9, 18) > draw(
        seed, member.name, owner, slot, "who"
    )
    return 0.2 + 0.5 * size if interactive else 0.65 + 0.35 * size


def _owner(member: Member, gpu: int, slot: int, seed: int) -> int:
    """By whose draws the GPU lives in this slot: its own, or the first's where one job has them all."""
    return 0 if draw(seed, member.name, slot, "together") < _TOGETHER else gpu


def _idle_period(member: Member, gpu: int, hours: float, seed: int) -> bool:
    period = math.floor(hours / _IDLE_PERIOD_HOURS)
    return draw(seed, member.name, gpu, period, "idle") < _IDLE_PERIODS[member.site.kind]
