"""How records, heartbeats and batches are written in Redis."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

import msgspec

from exporter.domain.node import NodeRecord, Tombstone
from exporter.domain.recordchecks import (
    UNREADABLE,
    BadRecord,
    RecordFault,
    check_last_heartbeat,
    check_mark,
    check_record,
    check_tombstone,
    check_transition,
)
from exporter.domain.status import Transport
from exporter.domain.text import is_name, shown
from exporter.domain.transition import Transition
from exporter.stores.base import Batch, LastHeartbeat, Mark, Saved

PREFIX = "aurora:{registry}:"
DATASET, NODES, TOMBSTONES, HEARD, RECORDED, MARKS, CHANGES, RECENT, PEERS, TIME, DEPARTURES = (
    PREFIX + name
    for name in [
        *("dataset", "nodes", "tombstones", "heard", "recorded", "marks", "changes", "recent", "peers", "time"),
        "departures",
    ]
)
ASIDE = PREFIX + "aside"
"""A hash of what cannot be used, by the hash's name and the field."""
PROBE = PREFIX + "probe"
TYPES = {
    DATASET: "string",
    NODES: "hash",
    TOMBSTONES: "hash",
    HEARD: "hash",
    RECORDED: "hash",
    MARKS: "hash",
    CHANGES: "stream",
    RECENT: "zset",
    PEERS: "hash",
    TIME: "string",
    DEPARTURES: "zset",
    ASIDE: "hash",
}
PART = 500
"""So many nodes at most are one call of a script, which holds Redis up for a few milliseconds."""
PART_BYTES = 4_000_000
"""Of what nodes say about themselves; where it is much, fewer nodes are one call."""
SCAN = 250
"""So many entries of a hash are read at a time."""
DIGITS = 20

_encode = msgspec.json.Encoder().encode
_decode_record = msgspec.json.Decoder(NodeRecord).decode
_decode_tombstone = msgspec.json.Decoder(Tombstone).decode
_decode_transition = msgspec.json.Decoder(Transition).decode
_decode_mark = msgspec.json.Decoder(Mark).decode


class RedisState(NamedTuple):
    """What stands in Redis at one moment, and who it is."""

    dataset: str
    """Empty where there is none yet."""
    run: str
    """Changes with each start of the server."""
    last_change: int
    time_ns: int
    max_memory: int
    policy: str


def history(name: str) -> str:
    """The key of a node's transitions."""
    return f"{PREFIX}history:{name}"


def history_of_format_1(name: str) -> str:
    """The key of a node's transitions in the first format."""
    return f"{PREFIX}transitions:{name}"


def read_state(answer: list[bytes]) -> RedisState:
    """What the script STATE answered."""
    dataset, run, last, seconds, microseconds, max_memory, policy = (cell.decode(errors="replace") for cell in answer)
    time_ns = (int(seconds) * 1_000_000 + int(microseconds)) * 1_000
    return RedisState(dataset, run, int(last.partition("-")[0]), time_ns, int(max_memory), policy)


def read_mesh_time(value: bytes | None) -> int:
    """The latest mesh time that a registry wrote; 0 where there is none, or what others put in its place."""
    return int(value) if value and len(value) == DIGITS and value.isdigit() else 0


def parts(batch: Batch) -> list[Batch]:
    """The batch in parts of at most PART nodes; each node's changes stay together and in order."""
    names = dict.fromkeys(
        [
            *(*batch.records, *batch.tombstones),
            *(transition.node for transition in (*batch.transitions, *batch.history)),
            *batch.heartbeats,
        ]
    )
    divided, part_of = [Batch()], {}
    count = size = 0
    for name in names:
        weight = _size(batch.records.get(name))
        if count == PART or (count and size + weight > PART_BYTES):
            divided.append(Batch())
            count = size = 0
        part_of[name] = divided[-1]
        count += 1
        size += weight
    for name, record in batch.records.items():
        part_of[name].records[name] = record
    for name, tombstone in batch.tombstones.items():
        part_of[name].tombstones[name] = tombstone
    for name, base_ns in batch.bases.items():
        part_of[name].bases[name] = base_ns
    for transition in batch.transitions:
        part_of[transition.node].transitions.append(transition)
    for transition in batch.history:
        part_of[transition.node].history.append(transition)
    for name, heartbeats in batch.heartbeats.items():
        part_of[name].heartbeats[name] = heartbeats
    divided[-1] = replace(divided[-1], mark=batch.mark)
    return divided


def _size(record: NodeRecord | None) -> int:
    if record is None:
        return 0
    return memoryview(record.registration.capabilities).nbytes + memoryview(record.registration.metadata).nbytes


def write_part(batch: Batch) -> tuple[list[str], list[bytes]]:
    """Keys and arguments of the script SAVE, but for the first four arguments."""
    keys = [DATASET, NODES, TOMBSTONES, HEARD, RECORDED, MARKS, CHANGES, RECENT, PEERS, TIME, DEPARTURES]
    keys += [history(transition.node) for transition in (*batch.transitions, *batch.history)]
    records: list[str] = []
    bases = {name: f"{base_ns:020d}" for name, base_ns in batch.bases.items()}
    for name, record in batch.records.items():
        value = f"{record.revision_ns:020d}{record.epoch:020d}{_encode(record).decode()}"
        records += name, value, bases.get(name, "")
    tombstones: list[str] = []
    for name, gone in batch.tombstones.items():
        value = f"{gone.revision_ns:020d}{gone.epoch:020d}{_encode(gone).decode()}"
        tombstones += name, value, bases.get(name, "")
    heartbeats: list[str] = []
    for name, heartbeat in batch.heartbeats.items():
        heartbeats += name, f"{heartbeat.stamp_ns:020d}{heartbeat.last_seen_ns:020d}{_way(heartbeat)}"
    given = records, tombstones, _written(batch.transitions), _written(batch.history), heartbeats
    mark = (_encode(batch.mark), _head(batch.mark.alive_ns)) if batch.mark else (b"", b"")
    return keys, [*mark, msgspec.msgpack.encode(given)]


def _written(transitions: list[Transition]) -> list[str]:
    written: list[str] = []
    for each in transitions:
        written += each.node, f"{each.sequence:020d}{each.stamp_ns:020d}{_encode(each).decode()}"
    return written


def departure(tombstone: Tombstone) -> bytes:
    """The tombstone's member of the sorted set `departures`: its revision and its name."""
    return _head(tombstone.revision_ns) + tombstone.name.encode()


def departed(member: bytes) -> bytes:
    """The name in a member of `departures`."""
    return member[DIGITS:]


def read_saved(answer: list[list[bytes]], batch: Batch, saved: Saved) -> None:
    """Add what the script SAVE answered about a part."""
    records, tombstones, transitions, refused, peers, time, missing, (before, after) = answer
    saved.changes_before, saved.changes_after = int(before), int(after)
    # What is there may have been altered by others: what cannot be a count or a time counts as nothing.
    for name, writes in zip(peers[::2], peers[1::2], strict=True):
        if writes.isdigit() and is_name(name.decode(errors="replace")):
            saved.peers[name.decode()] = int(writes[:DIGITS])
    saved.mesh_ns = read_mesh_time(time[0] if time else None)
    saved.records.update(name.decode() for name in records)
    saved.tombstones.update(name.decode() for name in tombstones)
    saved.missing.update(name.decode() for name in missing)
    saved.transitions.extend(batch.transitions[int(index)] for index in transitions)
    for name, kind, value in zip(refused[::3], refused[1::3], refused[2::3], strict=True):
        read = read_record if kind == b"r" else read_tombstone
        try:
            saved.standing[name.decode()] = read(name.decode(), value)
        except UNREADABLE:
            saved.standing[name.decode()] = None


def read_record(name: str, value: bytes) -> NodeRecord:
    """A value of the hash `nodes`; like all that read, it raises one of UNREADABLE for what cannot be."""
    record = check_record(_decode_record(value[2 * DIGITS :]), name)
    _check_head(value, record.revision_ns, record.epoch)
    return record


def read_tombstone(name: str, value: bytes) -> Tombstone:
    """A value of the hash `tombstones`."""
    tombstone = check_tombstone(_decode_tombstone(value[2 * DIGITS :]), name)
    _check_head(value, tombstone.revision_ns, tombstone.epoch)
    return tombstone


def read_heard(name: str, value: bytes) -> LastHeartbeat:
    """A value of the hash `heard`."""
    transport, _, via = value[2 * DIGITS :].decode().partition(" ")
    if via and not is_name(via):
        raise BadRecord(RecordFault.NAME, f"expected the registry that received it, got {shown(via)}")
    heartbeat = LastHeartbeat(_number(value[DIGITS:]), Transport(transport), _number(value), via)
    return check_last_heartbeat(heartbeat, name)


def read_recorded(name: str, value: bytes) -> Transition:
    """A value of the hash `recorded`."""
    return read_transition(name, value)


def read_mark(_: str, value: bytes) -> Mark:
    """A value of the hash `marks`."""
    return check_mark(_decode_mark(value))


def read_transition(name: str, value: bytes) -> Transition:
    """A member of a node's history."""
    transition = check_transition(_decode_transition(value[DIGITS:]), name)
    _check_head(value, transition.sequence)
    return transition


def read_recent(_: str, value: bytes) -> Transition:
    """A member of the sorted set `recent`."""
    return check_transition(_decode_transition(value[DIGITS:]))


def read_change(fields: Mapping[bytes, bytes], reject: Callable[[bytes, Exception], None]) -> Batch:
    """An entry of the stream `changes`; what cannot be read in it is rejected, the rest stands."""
    batch = Batch()
    for field, text in fields.items():
        try:
            _read_part(field[:1], text, batch)
        except UNREADABLE as error:
            reject(field[:1], error)
    return batch


def extend(batch: Batch, more: Batch) -> None:
    """Add what a further entry has of the same save."""
    batch.records.update(more.records)
    batch.tombstones.update(more.tombstones)
    batch.transitions.extend(more.transitions)
    batch.history.extend(more.history)
    batch.heartbeats.update(more.heartbeats)


def _way(heartbeat: LastHeartbeat) -> str:
    return f"{heartbeat.transport} {heartbeat.via}" if heartbeat.via else heartbeat.transport


def _read_part(kind: bytes, text: bytes, batch: Batch) -> None:
    match kind:
        case b"r":
            record = _decode_record(text)
            batch.records[record.name] = check_record(record, record.name)
        case b"d":
            tombstone = _decode_tombstone(text)
            batch.tombstones[tombstone.name] = check_tombstone(tombstone, tombstone.name)
        case b"s":
            batch.transitions.append(check_transition(_decode_transition(text)))
        case b"p":
            batch.history.append(check_transition(_decode_transition(text)))
        case b"h":
            name, _, value = text.partition(b" ")
            batch.heartbeats[name.decode()] = read_heard(name.decode(), value)


def _head(*numbers: int) -> bytes:
    return b"".join(b"%020d" % number for number in numbers)


def _number(value: bytes) -> int:
    """The number at the value's head. `int` would take signs, spaces and underscores as well."""
    head = value[:DIGITS]
    if len(head) != DIGITS or not head.isdigit():
        raise BadRecord(RecordFault.UNREADABLE, f"expected {DIGITS} digits at its head, got {shown(head)}")
    return int(head)


def _check_head(value: bytes, *numbers: int) -> None:
    """What the scripts compare is what the record says."""
    if not value.startswith(_head(*numbers)):
        raise BadRecord(RecordFault.UNREADABLE, f"its head {shown(value[: 2 * DIGITS])} is not that of its record")
