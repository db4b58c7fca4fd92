"""What is known of the node's GPUs, from any source; what cannot be true is dropped before it is sent."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from exporter.agent.checks import MAX_TEXT, UNSAFE

MAX_GPUS = 256
LEAST_MEMORY, MAX_MEMORY = 2**26, 2**50
LIMITS: Mapping[str, tuple[float, float]] = {
    "utilization": (0, 1),
    "memory_used_bytes": (0, MAX_MEMORY),
    "temperature_celsius": (-50, 150),
    "power_watts": (0, 10_000),
}
"""Beyond what hardware does: 255 °C and 65535 W are how drivers write "unknown"."""
MAX_HERTZ = 10_000_000_000
MAX_JOULES = 10**11
"""A kilowatt for three years."""
MAX_CODE = 1_000_000
MAX_ERRORS, MAX_ROWS = 10**9, 65_536
"""More than any GPU lives to count: 2147483632 and 4294967294 are how drivers write "unknown"."""


class Inventory(NamedTuple):
    """What the node has: how many GPUs, their type, and their memory together (0 where it is not known)."""

    number: int = 0
    type: str = ""
    memory_bytes: int = 0
    remembered: bool = False
    """From an earlier start, since nobody could look yet."""


class Gpu(NamedTuple):
    """One GPU that answers."""

    position: int
    name: str = ""
    memory_bytes: int = 0
    """Its total; 0 where it is not known."""
    reading: Mapping[str, Any] = {}
    """As a heartbeat carries it, `index` and all."""


class Sight(enum.Enum):
    """What came of looking."""

    SEEN = "seen"
    """The driver reported how many GPUs there are, and which of them answer."""
    ABSENT = "absent"
    """There is no driver on this machine."""
    BROKEN = "broken"
    """There is one, and it reaches no GPU: nothing can use them."""
    UNSURE = "unsure"
    """It could not be asked: nothing is known of the GPUs."""


class Look(NamedTuple):
    """What somebody saw who looked at the GPUs."""

    sight: Sight
    number: int = 0
    """How many there are, those that do not answer included."""
    gpus: tuple[Gpu, ...] = ()
    """Those that answer."""
    reason: str = ""
    """Why it is not SEEN, or why a part of it is missing."""

    @property
    def inventory(self) -> Inventory:
        """What the node has, going by this look."""
        types = dict.fromkeys(gpu.name for gpu in self.gpus if gpu.name)
        known = len(self.gpus) == self.number and all(gpu.memory_bytes for gpu in self.gpus)
        memory = sum(gpu.memory_bytes for gpu in self.gpus) if known else 0
        return Inventory(self.number, ", ".join(types)[:MAX_TEXT].strip(), memory)

    @property
    def readings(self) -> list[dict[str, Any]]:
        """One for each GPU that answers."""
        return [dict(gpu.reading) for gpu in self.gpus]


def total_of(memory_bytes: float) -> int:
    """A GPU's memory as a source states it; 0 where that cannot be."""
    return round(memory_bytes) if LEAST_MEMORY <= memory_bytes <= MAX_MEMORY else 0


def reading_of(index: int, memory_bytes: int, values: Mapping[str, Any]) -> dict[str, Any]:
    """A reading as a heartbeat carries it: what is unknown, or cannot be true, is left out."""
    reading: dict[str, Any] = {"index": index}
    uuid = values.get("uuid")
    if isinstance(uuid, str) and 0 < len(uuid) <= MAX_TEXT and not UNSAFE.search(uuid):
        reading["uuid"] = uuid
    for name, (low, high) in LIMITS.items():
        value = values.get(name)
        if isinstance(value, (int, float)) and math.isfinite(value) and low <= value <= high:
            reading[name] = value
    if memory_bytes and reading.get("memory_used_bytes", 0) > memory_bytes:
        del reading["memory_used_bytes"]
    return reading


def joined(looks: Iterable[Look]) -> Look:
    """Several drivers' GPUs as one node's: numbered on, one driver after the other. One that is absent adds nothing.

    One that cannot be asked takes no other driver's GPUs away, and leaves room for as many as its `number`.
    """
    looks = list(looks)
    found = [look for look in looks if look.sight is not Sight.ABSENT]
    if not found:
        return looks[0] if looks else Look(Sight.ABSENT)
    if len(found) == 1:
        return found[0]
    reason = next((look.reason for look in found if look.sight is not Sight.SEEN), "")
    sights = {look.sight for look in found}
    sure = Sight.UNSURE not in sights and Sight.SEEN in sights
    gpus: list[Gpu] = []
    count = 0
    for look in found:
        gpus += [
            gpu._replace(position=gpu.position + count, reading={**gpu.reading, "index": gpu.position + count})
            for gpu in look.gpus
        ]
        count += look.number
    return Look(Sight.SEEN if sure else Sight.UNSURE, count, tuple(gpus), reason)
