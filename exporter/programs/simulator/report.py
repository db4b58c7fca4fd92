"""The body of a simulated node's heartbeat."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from exporter.domain.clock import SECOND
from exporter.domain.heartbeat import GpuReading
from exporter.programs.simulator.incident import Condition
from exporter.programs.simulator.load import HOURS, reading
from exporter.programs.simulator.population import Member
from exporter.programs.simulator.seededrandom import wander

FIRST_HOUR = 9.0
"""The time of day at which every run begins."""


def time_of_day(now_ns: int, day_ns: int) -> float:
    """Hours since the first midnight, of which `day_ns` make 24."""
    return FIRST_HOUR + HOURS * now_ns / day_ns


def report(
    member: Member, condition: Condition, *, hours: float, wall_ns: int, sequence: int, seed: int
) -> dict[str, Any]:
    """The body of a heartbeat, with the role that lets the node appear over the bus."""
    body: dict[str, Any] = {
        "role": member.role,
        "status": "active",
        "timestamp": round((wall_ns + condition.offset_ns) / SECOND, 3),
        "sequence": sequence,
    }
    if member.gpus:
        hot = dict(condition.hot_gpus)
        body["gpus"] = [
            _heated(reading(member, gpu, hours, seed), hot.get(gpu), hours)
            for gpu in range(member.gpus)
            if gpu not in condition.lost_gpus
        ]
    return body


def _heated(read: GpuReading, celsius: float | None, hours: float) -> GpuReading:
    if celsius is None:
        return read
    return replace(read, temperature_celsius=round(celsius + wander(hours * 20, read.uuid, "heat"), 1))
