"""What comes back from a store is input too: a registration's rules, for records that somebody may have altered."""

from __future__ import annotations

import enum
import math
from typing import Annotated, Any, get_type_hints

import msgspec

from exporter.domain import strictjson
from exporter.domain.clock import HOUR, SECOND
from exporter.domain.durable import LastHeartbeat, Mark
from exporter.domain.errors import Invalid
from exporter.domain.lifecycle import Lifecycle
from exporter.domain.node import NodeRecord, Tombstone
from exporter.domain.registration import GIB, MAX_FREE_BYTES, MAX_LINKS, Registration
from exporter.domain.text import address_fault, is_name, shown, text_fault
from exporter.domain.transition import Transition

MAX_TIME_NS = 4_102_444_800 * SECOND
"""The year 2100: no clock of ours says more, and all that is counted in nanoseconds stays below as well."""
Time = Annotated[int, msgspec.Meta(ge=0, le=MAX_TIME_NS)]
"""One that msgspec checks as `check_time` does."""
LATEST_NS = MAX_TIME_NS - 20 * 365 * 24 * HOUR
"""No clock is believed beyond it: stores refuse later times, and ends of maintenance lie up to ten years ahead."""
UNREADABLE = (msgspec.MsgspecError, ValueError, TypeError, RecursionError)
"""What reading a record raises that is none of ours; the last one of values that are nested by the thousand."""
MAX_COUNT = 1_000_000
MAX_OUTAGES = 1_000
_NUMBERS = {
    kind: tuple(field for field, stated in get_type_hints(kind).items() if stated is int)
    for kind in (NodeRecord, Lifecycle, Tombstone, Transition, LastHeartbeat, Mark)
}
"""Of each kind of record, the fields that are whole numbers."""
_TEXTS = ("node_id", "gpu_type", "os", "environment", "site")


class RecordFault(enum.StrEnum):
    """Why a record of the store was set aside; `/metrics` has each from the start."""

    UNREADABLE = "unreadable"
    """It is not in a form that we write, or a newer version's."""
    NAME = "name"
    """It stands under a key that is no node's name, or under another node's."""
    TIME = "time"
    """A time that cannot be."""
    VALUE = "value"
    """Something else that no registration may have."""
    KEY_TYPE = "key_type"
    """The key holds another type of value than ours."""
    CHECKSUM = "checksum"
    """It is not what was written."""


class BadRecord(ValueError):
    """A record that must not be used; `reason` is one of a few, the text says what is wrong for people."""

    def __init__(self, reason: RecordFault, text: str) -> None:
        super().__init__(text)
        self.reason = reason


def check_record(record: NodeRecord, key: str) -> NodeRecord:
    """The record; BadRecord where no registration could have made it, or where it has another name."""
    _check_key(record.registration.name, key)
    _check_times(record)
    _check_times(record.lifecycle)
    _check_text("lifecycle.reason", record.lifecycle.reason)
    _check_registration(record.registration)
    return record


def check_tombstone(tombstone: Tombstone, key: str) -> Tombstone:
    """The tombstone; BadRecord where it cannot be, or is not of this name."""
    _check_key(tombstone.name, key)
    _check_times(tombstone)
    return tombstone


def check_transition(transition: Transition, key: str | None = None) -> Transition:
    """The transition; BadRecord where it cannot be, or is not of this name (None: of any)."""
    _check_key(transition.node, transition.node if key is None else key)
    _check_times(transition)
    return transition


def check_last_heartbeat(heartbeat: LastHeartbeat, key: str) -> LastHeartbeat:
    """The heartbeat; BadRecord where it cannot be, or stands under what is no name."""
    _check_key(key, key)
    _check_times(heartbeat)
    return heartbeat


def check_mark(mark: Mark) -> Mark:
    """The mark; BadRecord where a time in it cannot be."""
    _check_times(mark)
    for outages in mark.outages.values():
        if len(outages) > MAX_OUTAGES:
            raise BadRecord(RecordFault.VALUE, f"expected at most {MAX_OUTAGES} outages, got {len(outages)}")
        for begin_ns, end_ns in outages:
            check_time("an outage", begin_ns)
            check_time("an outage", end_ns)
            if end_ns < begin_ns:
                raise BadRecord(RecordFault.TIME, f"an outage ends at {end_ns}, before it begins at {begin_ns}")
    return mark


def check_time(field: str, value: object) -> None:
    """BadRecord for what is no time between 1970 and 2100, in nanoseconds."""
    if not isinstance(value, int) or not 0 <= value <= MAX_TIME_NS:
        raise BadRecord(RecordFault.TIME, f"{field}: expected nanoseconds of 1970 to 2100, got {shown(value)}")


def fault_of(error: Exception) -> RecordFault:
    """The reason to count for what reading a record raised."""
    return error.reason if isinstance(error, BadRecord) else RecordFault.UNREADABLE


def _check_key(name: str, key: str) -> None:
    if not is_name(key):
        raise BadRecord(RecordFault.NAME, f"expected a node's name as its key, got {shown(key)}")
    if name != key:
        raise BadRecord(RecordFault.NAME, f"it is of {shown(name)}, and stands under {shown(key)}")


def _check_times(value: Any) -> None:
    """All whole numbers of the record are times, or counters that stand for one."""
    for field in _NUMBERS[type(value)]:
        if not 0 <= getattr(value, field) <= MAX_TIME_NS:
            check_time(field, getattr(value, field))


def _check_registration(registration: Registration) -> None:
    if not is_name(registration.role):
        raise BadRecord(RecordFault.NAME, f"role: expected a name, got {shown(registration.role)}")
    if len(registration.links) > MAX_LINKS:
        raise BadRecord(RecordFault.VALUE, f"links: expected at most {MAX_LINKS}, got {len(registration.links)}")
    for link in registration.links:
        if not (is_name(link.target) and is_name(link.type)):
            raise BadRecord(RecordFault.NAME, f"links: expected names, got {shown((link.target, link.type))}")
    for field in _TEXTS:
        _check_text(field, getattr(registration, field))
    if registration.agent:
        for field in ("name", "version", "instance"):
            _check_text(f"agent.{field}", getattr(registration.agent, field))
    for field in ("vpn_ip", "public_ip"):
        address = getattr(registration, field)
        fault = address_fault(address) if address else None
        if fault:
            raise BadRecord(RecordFault.VALUE, f"{field}: {fault}")
    _check_number("ttl_ns", registration.ttl_ns, MAX_TIME_NS)
    _check_number("gpus", registration.gpus, MAX_COUNT)
    _check_number("gpu_memory_bytes", registration.gpu_memory_bytes, 10**9 * GIB)
    _check_number("cost_usd_per_hour", registration.cost_usd_per_hour or 0, 10**9)
    _check_free("capabilities", registration.capabilities)
    _check_free("metadata", registration.metadata)


def _check_text(field: str, text: str) -> None:
    fault = text_fault(text)
    if fault:
        raise BadRecord(RecordFault.VALUE, f"{field}: {fault}")


def _check_number(field: str, number: float, most: int) -> None:
    if not (math.isfinite(number) and 0 <= number <= most):
        raise BadRecord(RecordFault.VALUE, f"{field}: expected 0 to {most}, got {shown(number)}")


def _check_free(field: str, raw: msgspec.Raw) -> None:
    data = bytes(raw)
    if data == b"{}":
        return
    if len(data) > 2 * MAX_FREE_BYTES:
        raise BadRecord(RecordFault.VALUE, f"{field}: expected at most {MAX_FREE_BYTES} bytes, got {len(data)}")
    if data.count(b"[") + data.count(b"{") <= strictjson.MAX_DEPTH and b"\\u" not in data:
        # Nothing in it can be what only the strict reader, twenty times as slow, would find.
        try:
            if isinstance(msgspec.json.decode(data), dict):
                return
        except UNREADABLE:
            pass
    try:
        value = strictjson.loads(data)
        strictjson.reject_unwritable(value, field)
    except Invalid as error:
        raise BadRecord(RecordFault.VALUE, f"{field}: {error}") from None
    if not isinstance(value, dict):
        raise BadRecord(RecordFault.VALUE, f"{field}: expected an object, got {shown(value)}")
