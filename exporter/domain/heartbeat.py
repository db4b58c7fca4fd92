"""A heartbeat: proof that a node lives, with what it says of itself at that moment."""

from __future__ import annotations

import math
from typing import Annotated, Any

import msgspec

from exporter.domain import strictjson
from exporter.domain.clock import SECOND
from exporter.domain.errors import Invalid
from exporter.domain.registration import DEFAULT_ROLE, Name
from exporter.domain.shape import shaped
from exporter.domain.text import NAME_EXPECTED, is_name, shown, text_fault
from exporter.domain.timestamp import parse_timestamp

MAX_GPUS = 256
MAX_SECONDS = 1e12
_KEYS = (b'"node"', b'"role"', b'"status"', b'"timestamp"', b'"sequence"', b'"gpus"')

Finite = Annotated[float, msgspec.Meta(ge=-1e12, le=1e12)]


class GpuReading(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One GPU at the moment of a heartbeat. What the node could not read is None."""

    index: Annotated[int, msgspec.Meta(ge=0, le=65_535)]
    uuid: Annotated[str, msgspec.Meta(max_length=256)] = ""
    utilization: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    memory_used_bytes: Annotated[int, msgspec.Meta(ge=0, le=2**60)] | None = None
    temperature_celsius: Finite | None = None
    power_watts: Finite | None = None


class Heartbeat(msgspec.Struct, gc=False):
    """What a node may say with a heartbeat; unknown keys are ignored, so that old and new agents live together."""

    node: str = ""
    role: Name = DEFAULT_ROLE
    status: str | None = None
    timestamp: float | str | None = None
    """The sender's clock: seconds since the epoch, or RFC 3339. It feeds the clock offset and nothing else."""
    sequence: Annotated[int, msgspec.Meta(ge=0, le=2**62)] | None = None
    gpus: Annotated[tuple[GpuReading, ...], msgspec.Meta(max_length=MAX_GPUS)] | None = None


EMPTY = Heartbeat()
_decode = msgspec.json.Decoder(Heartbeat).decode


def parse_heartbeat(body: bytes) -> Heartbeat:
    """The heartbeat of a JSON text; an empty one is a heartbeat too. Invalid names field, value and expectation."""
    if not body:
        return EMPTY
    try:
        beat = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return heartbeat_of(strictjson.loads(body))
    # msgspec keeps the last of duplicate keys: a body that has one twice is looked at again, strictly.
    if body.count(b":") > 1 and any(body.count(key) > 1 for key in _KEYS):
        return heartbeat_of(strictjson.loads(body))
    check_heartbeat(beat)
    return beat


def heartbeat_of(value: Any) -> Heartbeat:
    """The heartbeat that a decoded JSON value states; Invalid as above. An unusable timestamp is no timestamp."""
    if not isinstance(value, dict):
        raise Invalid.of("", f"expected a heartbeat as a JSON object, got {shown(value)}")
    timestamp = value.get("timestamp")
    if isinstance(timestamp, float) and not math.isfinite(timestamp):
        value = {key: field for key, field in value.items() if key != "timestamp"}
    strictjson.reject_unwritable(value, "")
    beat = shaped(value, Heartbeat)
    check_heartbeat(beat)
    return beat


def check_heartbeat(beat: Heartbeat) -> None:
    """What the types alone do not say; Invalid where it does not hold."""
    if beat.status is not None and (fault := text_fault(beat.status)):
        raise Invalid.of("status", fault)
    if beat.gpus:
        seen = set()
        for position, reading in enumerate(beat.gpus):
            if fault := text_fault(reading.uuid):
                raise Invalid.of(f"gpus[{position}].uuid", fault)
            if reading.index in seen:
                raise Invalid.of(f"gpus[{position}].index", f"expected each index once, got {reading.index} again")
            seen.add(reading.index)


def check_name(name: str, field: str = "node") -> None:
    """Raise Invalid unless the text may name a node."""
    if not is_name(name):
        raise Invalid.of(field, f"expected {NAME_EXPECTED}, got {shown(name)}")


def sent_at_ns(beat: Heartbeat) -> int | None:
    """The sender's time in nanoseconds since the epoch; None where it states none that can be read."""
    match beat.timestamp:
        case float() | int() as seconds if math.isfinite(seconds) and abs(seconds) < MAX_SECONDS:
            return int(seconds * SECOND)
        case str() as text:
            try:
                return parse_timestamp(text)
            except ValueError:
                return None
        case _:
            return None
