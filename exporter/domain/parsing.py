"""Heartbeats from bytes. Liveness never depends on payload: what cannot be read is left out, and the rest counts."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any, get_type_hints

import msgspec

from exporter.domain import strictjson
from exporter.domain.errors import Fault, Invalid
from exporter.domain.heartbeat import (
    EMPTY,
    MAX_GPUS,
    MAX_IGNORED,
    GpuHealth,
    GpuReading,
    Heartbeat,
    Ignored,
    PartialHeartbeat,
    Reason,
    sent_at_ns,
)
from exporter.domain.shape import shaped
from exporter.domain.text import NAME_EXPECTED, is_name, shown, text_fault

_KEYS = (b'"node"', b'"role"', b'"status"', b'"timestamp"', b'"sequence"', b'"gpus"')
_FIELDS = {
    name: hint for name, hint in get_type_hints(Heartbeat, include_extras=True).items() if name not in {"node", "gpus"}
}
_MEASURES = get_type_hints(GpuReading, include_extras=True)
del _MEASURES["health"]
_HEALTH = get_type_hints(GpuHealth, include_extras=True)
_WHOLE = frozenset({"index", "memory_used_bytes", "sequence"})
_TIMESTAMP_EXPECTED = "expected seconds since the epoch, or RFC 3339"
_REPEATED = "the key stands more than once in one object"

_decode = msgspec.json.Decoder(Heartbeat).decode


def parse_heartbeat(body: bytes, *, node: str = "") -> Heartbeat:
    """The heartbeat of a JSON text; an empty one is a heartbeat too.

    `node`: whose it is, where that is known already; then anything is a heartbeat. Else Invalid is raised where the
    name cannot be read, and `node` of the result is empty where none is stated.
    """
    if not body:
        return EMPTY
    try:
        beat = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _salvage_text(body, node)
    if body.count(b":") > 1 and _may_be_ambiguous(body):
        return _salvage_text(body, node)
    if node and beat.node not in {"", node} and not is_name(beat.node):
        return _salvage_text(body, node)
    return beat if is_sound(beat) else _salvage_text(body, node)


def heartbeat_of(value: Any, *, node: str = "") -> Heartbeat:
    """The heartbeat that a decoded JSON value states; as above."""
    if not isinstance(value, dict):
        fault = Fault("", f"expected a heartbeat as a JSON object, got {shown(value)}")
        if not node:
            raise Invalid([fault])
        return without_body(node, fault)
    return _Salvage(node).heartbeat(value)


def without_body(node: str, fault: Fault, reason: Reason = Reason.UNREADABLE) -> PartialHeartbeat:
    """The heartbeat of a node of which nothing but the name could be read."""
    return PartialHeartbeat(node, ignored=(Ignored(fault.field, fault.message, reason),), counts={reason: 1})


def is_sound(beat: Heartbeat) -> bool:
    """Whether what the types alone do not say holds too."""
    if beat.status is not None and text_fault(beat.status):
        return False
    if beat.instance and text_fault(beat.instance):
        return False
    if beat.timestamp is not None and sent_at_ns(beat) is None:
        return False
    if beat.gpus:
        if len(beat.gpus) > 1 and len({reading.index for reading in beat.gpus}) != len(beat.gpus):
            return False
        for reading in beat.gpus:
            if reading.uuid and text_fault(reading.uuid):
                return False
    return True


def _may_be_ambiguous(body: bytes) -> bool:
    """Whether a key may stand twice: msgspec keeps the last one, so such a body is looked at again, strictly."""
    for key in _KEYS:  # noqa: SIM110 - any() with a generator takes twice as long
        if body.count(key) > 1:
            return True
    return False


def _salvage_text(body: bytes, node: str) -> Heartbeat:
    try:
        value = strictjson.loads_leniently(body)
    except Invalid as error:
        if not node:
            raise
        return without_body(node, error.faults[0])
    return heartbeat_of(value, node=node)


class _Salvage:
    """Takes what can be read of one heartbeat, field by field, and notes what cannot."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._ignored: list[Ignored] = []
        self._counts: Counter[Reason] = Counter()

    def heartbeat(self, value: dict[str, Any]) -> Heartbeat:
        """The heartbeat; a plain one if everything could be read."""
        name = value.get("node", "")
        if not isinstance(name, str):
            message = _REPEATED if name is strictjson.AMBIGUOUS else f"expected text, got {shown(name)}"
            if not self._node:
                raise Invalid.of("node", message)
            self._ignore("node", message, Reason.WRONG_TYPE)
            name = self._node
        elif self._node and name not in {"", self._node} and not is_name(name):
            self._ignore("node", f"expected {NAME_EXPECTED}, got {shown(name)}", Reason.BAD_TEXT)
            name = self._node
        fields = self._fields(value, "", _FIELDS)
        fields["node"] = name
        gpus = self._gpus(value.get("gpus"))
        if not self._counts:
            return Heartbeat(**fields, gpus=gpus)
        return PartialHeartbeat(**fields, gpus=gpus, ignored=tuple(self._ignored), counts=dict(self._counts))

    def _gpus(self, value: Any) -> tuple[GpuReading, ...] | None:
        """The readings; None where none can be read, which does not mean that there are no GPUs."""
        if value is None:
            return None
        if value is strictjson.AMBIGUOUS:
            self._ignore("gpus", _REPEATED, Reason.DUPLICATE)
            return None
        if not isinstance(value, list):
            self._ignore("gpus", f"expected array, got {shown(value)}", Reason.WRONG_TYPE)
            return None
        if len(value) > MAX_GPUS:
            self._ignore("gpus", f"expected at most {MAX_GPUS}, got {len(value)}", Reason.TOO_MANY)
        readings: dict[int, GpuReading] = {}
        for position, item in enumerate(value[:MAX_GPUS]):
            reading = self._reading(item, f"gpus[{position}]")
            if reading is None:
                continue
            if reading.index in readings:
                message = f"expected each index once, got {reading.index} again"
                self._ignore(f"gpus[{position}].index", message, Reason.DUPLICATE)
                continue
            readings[reading.index] = reading
        if value and not readings:
            return None
        return tuple(readings.values())

    def _reading(self, value: Any, path: str) -> GpuReading | None:
        if not isinstance(value, dict):
            self._ignore(path, f"expected object, got {shown(value)}", Reason.WRONG_TYPE)
            return None
        if "index" not in value:
            self._ignore(f"{path}.index", "required", Reason.WRONG_TYPE)
            return None
        fields = self._fields(value, f"{path}.", _MEASURES)
        if "index" not in fields:
            return None
        health = value.get("health")
        if isinstance(health, dict):
            fields["health"] = GpuHealth(**self._fields(health, f"{path}.health.", _HEALTH))
        elif health is not None:
            self._ignore(f"{path}.health", f"expected object, got {shown(health)}", Reason.WRONG_TYPE)
        return GpuReading(**fields)

    def _fields(self, value: dict[str, Any], path: str, hints: dict[str, Any]) -> dict[str, Any]:
        """Those of the object's values that can be used."""
        fields = {}
        for key, hint in hints.items():
            if value.get(key) is not None:
                try:
                    fields[key] = _usable(value[key], path + key, hint)
                except _Unusable as fault:
                    self._ignore(path + key, str(fault), fault.reason)
        return fields

    def _ignore(self, field: str, message: str, reason: Reason) -> None:
        self._counts[reason] += 1
        if len(self._ignored) < MAX_IGNORED:
            self._ignored.append(Ignored(field, message, reason))


class _Unusable(Exception):
    def __init__(self, message: str, reason: Reason) -> None:
        super().__init__(message)
        self.reason = reason


def _usable(value: Any, path: str, hint: Any) -> Any:
    key = path.rpartition(".")[2]
    if value is strictjson.AMBIGUOUS:
        raise _Unusable(_REPEATED, Reason.DUPLICATE)
    if isinstance(value, float) and not math.isfinite(value):
        raise _Unusable(f"expected a finite number, got {value}", Reason.NOT_FINITE)
    if key in _WHOLE and isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and (fault := text_fault(value)):
        raise _Unusable(fault, Reason.BAD_TEXT)
    try:
        field = shaped(value, hint, path=path)
    except Invalid as error:
        raise _Unusable(error.faults[0].message, _reason_of(value, hint)) from None
    if path == "timestamp" and sent_at_ns(Heartbeat(timestamp=field)) is None:
        raise _Unusable(f"{_TIMESTAMP_EXPECTED}, got {shown(value)}", Reason.OUT_OF_RANGE)
    return field


def _reason_of(value: Any, hint: Any) -> Reason:
    try:
        msgspec.convert(value, hint)
    except msgspec.ValidationError as error:
        if ", got `" in str(error):
            return Reason.WRONG_TYPE
    return Reason.BAD_TEXT if isinstance(value, str) else Reason.OUT_OF_RANGE
