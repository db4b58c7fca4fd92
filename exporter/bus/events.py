"""Events on the bus: how they read, and how our own are written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from exporter.domain import strictjson
from exporter.domain.command import Depart, Register
from exporter.domain.errors import AuroraError, Fault, Invalid
from exporter.domain.eventnames import DEREGISTER, HEARTBEAT, REGISTER, STATUS_CHANGED
from exporter.domain.heartbeat import Heartbeat, Reason, check_name
from exporter.domain.parsing import heartbeat_of, is_sound, without_body
from exporter.domain.registration import parse_registration
from exporter.domain.status import Transport
from exporter.domain.text import shown
from exporter.telemetry.reasons import Rejection

OWN_SOURCE = "node-registry"
MAX_BYTES = 2**18
"""Of an event: twice what `capabilities` and `metadata` of a registration may take together."""
_READ = frozenset({HEARTBEAT, REGISTER, DEREGISTER})
_BAD = {
    REGISTER: Rejection.BAD_REGISTRATION,
    DEREGISTER: Rejection.BAD_DEREGISTRATION,
}
_OUR_TRANSITION = f'{{"type":"{STATUS_CHANGED}","source_node":"{OWN_SOURCE}",'.encode()
"""How ours begin. As many as there are nodes may come back at once: to decode one takes as long as two heartbeats."""
_DECISIVE_KEYS = (b'"type"', b'"data"', b'"node"')


class Unreadable(AuroraError):
    """An event was rejected; nothing of it was applied."""

    def __init__(self, reason: Rejection, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class _HeartbeatEvent(msgspec.Struct, gc=False):
    type: Literal["node_heartbeat"]
    data: Heartbeat
    source_node: Any = None


class _Header(msgspec.Struct, gc=False):
    type: Any = None
    source_node: Any = None


class _Subject(msgspec.Struct, gc=False):
    node: str


class _HeartbeatHeader(msgspec.Struct, gc=False):
    type: Literal["node_heartbeat"]
    data: _Subject


_decode_heartbeat = msgspec.json.Decoder(_HeartbeatEvent).decode
_decode_header = msgspec.json.Decoder(_Header).decode
_decode_subject = msgspec.json.Decoder(_HeartbeatHeader).decode


def read_event(payload: bytes) -> Heartbeat | Register | Depart | None:
    """What an event asks of us; None for one that is not ours to read. Raises Unreadable."""
    if payload.startswith(_OUR_TRANSITION):
        return None
    if len(payload) <= MAX_BYTES:
        try:
            event = _decode_heartbeat(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass
        else:
            if event.source_node != OWN_SOURCE and not _may_be_ambiguous(payload) and is_sound(event.data):
                return event.data
    return _read_strictly(payload)


def write_event(event_type: str, data: Mapping[str, Any]) -> bytes:
    """An event of ours."""
    return msgspec.json.encode({"type": event_type, "source_node": OWN_SOURCE, "data": data})


def _may_be_ambiguous(payload: bytes) -> bool:
    # msgspec keeps the last of duplicate keys. Where that decides which node is meant, we look again, strictly;
    # to look for all keys would cost a heartbeat a sixth more.
    for key in _DECISIVE_KEYS:  # noqa: SIM110 - any() with a generator costs more than it says
        if payload.count(key) > 1:
            return True
    return False


def _read_strictly(payload: bytes) -> Heartbeat | Register | Depart | None:
    if _is_of_others(payload):
        return None
    try:
        event = _read_leniently(payload)
    except strictjson.TooComplex as fault:
        reason = Rejection.TOO_COMPLEX if len(payload) <= MAX_BYTES else Rejection.TOO_LARGE
        return _read_name_alone(payload, reason, str(fault))
    except Invalid as fault:
        raise Unreadable(Rejection.NOT_JSON, str(fault)) from None
    if not isinstance(event, dict):
        raise Unreadable(Rejection.NOT_OBJECT, f"expected an event as a JSON object, got {shown(event)}")
    event_type = event.get("type")
    if event_type is strictjson.AMBIGUOUS:
        raise Unreadable(Rejection.NOT_JSON, "type: the key stands more than once in one object")
    if not isinstance(event_type, str):
        raise Unreadable(Rejection.NO_TYPE, f"type: expected text such as {HEARTBEAT!r}, got {shown(event_type)}")
    if event_type not in _READ or event.get("source_node") == OWN_SOURCE:
        return None
    if event_type == HEARTBEAT:
        try:
            return heartbeat_of(event.get("data"))
        except Invalid as fault:
            _read_json(payload)
            raise Unreadable(Rejection.BAD_HEARTBEAT, str(fault)) from None
    return _read_command(event_type, _read_json(payload).get("data"))


def _read_leniently(payload: bytes) -> Any:
    if len(payload) > MAX_BYTES:
        raise strictjson.TooComplex.of("", f"expected at most {MAX_BYTES} bytes, got {len(payload)}")
    return strictjson.loads_leniently(payload)


def _read_json(payload: bytes) -> Any:
    try:
        return strictjson.loads(payload)
    except strictjson.TooComplex as fault:
        raise Unreadable(Rejection.TOO_COMPLEX, str(fault)) from None
    except Invalid as fault:
        raise Unreadable(Rejection.NOT_JSON, str(fault)) from None


def _read_name_alone(payload: bytes, reason: Rejection, fault: str) -> Heartbeat:
    """A heartbeat whose name can be read counts, whatever else is in it; all other events are refused."""
    try:
        event = _decode_subject(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Unreadable(reason, fault) from None
    if _may_be_ambiguous(payload):
        raise Unreadable(reason, fault)
    return without_body(event.data.node, Fault("", fault), Reason.TOO_LARGE)


def _is_of_others(payload: bytes) -> bool:
    """Whether it is sound JSON of a type that we do not read, or our own: however large, it is ignored."""
    try:
        header = _decode_header(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return isinstance(header.type, str) and (header.type not in _READ or header.source_node == OWN_SOURCE)


def _read_command(event_type: str, data: Any) -> Register | Depart:
    try:
        if event_type == REGISTER:
            return Register(parse_registration(data), Transport.BUS)
        return _departure_of(data)
    except Invalid as fault:
        raise Unreadable(_BAD[event_type], str(fault)) from None


def _departure_of(data: Any) -> Depart:
    if not isinstance(data, dict):
        raise Invalid.of("", f"expected a JSON object with the node's name, got {shown(data)}")
    name = data.get("node")
    if not isinstance(name, str):
        raise Invalid.of("node", f"expected a node's name, got {shown(name)}")
    check_name(name)
    return Depart(name)
