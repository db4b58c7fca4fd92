"""A heartbeat: proof that a node lives, with what it says of itself at that moment."""

from __future__ import annotations

import enum
from typing import Annotated

import msgspec

from exporter.domain.clock import SECOND
from exporter.domain.errors import Invalid
from exporter.domain.registration import DEFAULT_ROLE, Name
from exporter.domain.text import CODE, NAME_EXPECTED, is_name, shown
from exporter.domain.timestamp import parse_timestamp

MAX_GPUS = 256
MAX_IGNORED = 50
MAX_SECONDS = 1e12

# Beyond what hardware does: 255 °C and 65535 W are how drivers write "unknown".
Celsius = Annotated[float, msgspec.Meta(ge=-100, le=150)]
Watts = Annotated[float, msgspec.Meta(ge=0, le=20_000)]
Age = Annotated[float, msgspec.Meta(ge=0, le=1e9)]


class Reason(enum.StrEnum):
    """Why a part of a heartbeat was left out; each stands in `/metrics` from the start."""

    UNREADABLE = "unreadable"
    """The whole body: no JSON, or no JSON object."""
    TOO_LARGE = "too_large"
    WRONG_TYPE = "wrong_type"
    NOT_FINITE = "not_finite"
    OUT_OF_RANGE = "out_of_range"
    BAD_TEXT = "bad_text"
    """Too long, or with control, bidi-override or surrogate characters."""
    DUPLICATE = "duplicate"
    """A key or a GPU's index that stands more than once."""
    TOO_MANY = "too_many"
    """GPUs beyond MAX_GPUS."""
    IMPOSSIBLE = "impossible"
    """More memory in use than the node has."""
    NO_ROOM = "no_room"
    """Readings above limits.max_state."""


Total = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
# As with Celsius: 2147483632, 4294967294 and 140737488355328 are how drivers and exporters write "unknown".
Errors = Annotated[int, msgspec.Meta(ge=0, le=10**9)]
Hertz = Annotated[int, msgspec.Meta(ge=0, le=10**11)]
Joules = Annotated[float, msgspec.Meta(ge=0, le=1e11)]
Code = Annotated[str, msgspec.Meta(pattern=CODE)]


class Throttling(enum.StrEnum):
    """Why a GPU is slower than it could be, by the names that NVIDIA's tools have for it."""

    SW_POWER_CAP = "sw_power_cap"
    SW_THERMAL = "sw_thermal"
    HW_SLOWDOWN = "hw_slowdown"
    HW_THERMAL = "hw_thermal"
    HW_POWER_BRAKE = "hw_power_brake"


class GpuHealth(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """How one GPU is, beyond what it does; what the node cannot read is None. Totals restart with its agent."""

    xid_errors: Annotated[dict[Code, Total], msgspec.Meta(max_length=64)] | None = None
    """How often each XID came, by its code. Source: NVIDIA, XID Errors."""
    ecc_uncorrected_errors: Errors | None = None
    remapped_rows: Errors | None = None
    """Rows of its memory that were replaced because of uncorrectable errors."""
    remap_pending: bool | None = None
    """Rows wait for a reset to be replaced."""
    remap_failed: bool | None = None
    """No spare row is left."""
    retired_pages: Errors | None = None
    recovery_needed: bool | None = None
    """The driver asks for a reset, or for more."""
    throttled: Annotated[tuple[Throttling, ...], msgspec.Meta(max_length=16)] | None = None
    pcie_degraded: bool | None = None
    """Its link has fewer lanes, or under load a lower generation, than both ends are able to."""
    fan: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    """Of its full speed; some are rated above."""
    sm_clock_hertz: Hertz | None = None
    memory_clock_hertz: Hertz | None = None
    energy_joules: Joules | None = None
    mig_enabled: bool | None = None
    processes: Errors | None = None


class GpuReading(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One GPU at the moment of a heartbeat. What the node could not read is None."""

    index: Annotated[int, msgspec.Meta(ge=0, le=65_535)]
    uuid: Annotated[str, msgspec.Meta(max_length=256)] = ""
    utilization: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    memory_used_bytes: Annotated[int, msgspec.Meta(ge=0, le=2**60)] | None = None
    temperature_celsius: Celsius | None = None
    power_watts: Watts | None = None
    age_seconds: Age | None = None
    """How old the reading was when it was sent; None means that it was taken for this heartbeat."""
    lost: bool = False
    """It is named to say why, and is not observed."""
    health: GpuHealth | None = None


class Heartbeat(msgspec.Struct, gc=False):
    """What a node may say with a heartbeat; unknown keys are ignored, so that old and new agents live together."""

    node: str = ""
    role: Name = DEFAULT_ROLE
    status: str | None = None
    timestamp: float | str | None = None
    """The sender's clock: seconds since the epoch, or RFC 3339. It feeds the clock offset and nothing else."""
    sequence: Annotated[int, msgspec.Meta(ge=0, le=2**62)] | None = None
    instance: Annotated[str, msgspec.Meta(max_length=64)] = ""
    """Another one with each start of the agent."""
    gpus: Annotated[tuple[GpuReading, ...], msgspec.Meta(max_length=MAX_GPUS)] | None = None


EMPTY = Heartbeat()


class Ignored(msgspec.Struct, frozen=True, gc=False):
    """A part of a heartbeat that was left out: the field's dotted path, what was expected, and why."""

    field: str
    message: str
    reason: Reason


class PartialHeartbeat(Heartbeat, gc=False):
    """A heartbeat of which something was left out. No sender can make one."""

    ignored: tuple[Ignored, ...] = ()
    """At most MAX_IGNORED of them, for people."""
    counts: dict[Reason, int] = {}
    """All of them, by reason."""


def with_readings(
    beat: Heartbeat, gpus: tuple[GpuReading, ...] | None, ignored: list[Ignored], reason: Reason, count: int
) -> PartialHeartbeat:
    """The heartbeat with other readings, since `count` of them were left out; what was left out before stays named."""
    before, counts = (beat.ignored, dict(beat.counts)) if isinstance(beat, PartialHeartbeat) else ((), {})
    counts[reason] = counts.get(reason, 0) + count
    return PartialHeartbeat(
        beat.node,
        beat.role,
        beat.status,
        beat.timestamp,
        beat.sequence,
        beat.instance,
        gpus,
        ignored=(*before, *ignored)[:MAX_IGNORED],
        counts=counts,
    )


def check_name(name: str, field: str = "node") -> None:
    """Raise Invalid unless the text may name a node."""
    if not is_name(name):
        raise Invalid.of(field, f"expected {NAME_EXPECTED}, got {shown(name)}")


def sent_at_ns(beat: Heartbeat) -> int | None:
    """The sender's time in nanoseconds since the epoch; None where it states none that can be read."""
    stated = beat.timestamp
    if isinstance(stated, str):
        try:
            return parse_timestamp(stated)
        except ValueError:
            return None
    # Nothing that is not finite lies in between.
    return int(stated * SECOND) if stated is not None and -MAX_SECONDS < stated < MAX_SECONDS else None
