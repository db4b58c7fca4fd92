"""What comes back from a store, altered by somebody: it is set aside, or the registry that takes it stays sound."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any, NamedTuple

from exporter.domain.durable import Batch, Snapshot
from exporter.domain.recordchecks import LATEST_NS, MAX_TIME_NS, UNREADABLE
from exporter.nodemap import merging
from exporter.nodemap.loading import load
from exporter.stores import rediscodec as codec
from exporter.stores.rules import registration_order, stored_node
from tests.fuzz.engine import TOKENS, Failed
from tests.fuzz.livingmesh import LivingMesh
from tests.support.steps import complete

RAW = {
    "@infinite": "1e999",
    "@nan": "NaN",
    "@deep": "[" * 5_000 + "]" * 5_000,
    "@digits": "9" * 6_000,
    "@twice": '{"name": "full", "name": "plain"}',
}
"""What Python's own writer does not write."""
HOSTILE: tuple[Any, ...] = (
    *RAW,
    *(None, True, [], {}, [[]], [1] * 1000, 1.5, 1e308, -1, 0, 1, 2**63, 2**64 - 1, 10**22, 10**18),
    *(LATEST_NS, MAX_TIME_NS + 1, "", "x" * 300, "x" * 100_000, "\ud800", "\u202e", "\x1b[2J", "a\\", 'a"} 1\nb{c="d'),
    *("offline", "active", "http", "bus", "people", "forgotten", "dynamic", "fe80::1%eth0", "A" * 63, "A" * 64, "-"),
    *([["a", "b"]], {"http": [[1, 2]]}, {"http": [[2, 1]]}, {"bus": [[0, LATEST_NS]]}, {"http": [[1, 2]] * 1001}),
)
"""Times up to LATEST_NS: what is worked out from a later one may be after MAX_TIME_NS, and is set aside in its turn."""
KINDS: dict[str, tuple[Callable[[str, bytes], Any], tuple[str, ...]]] = {
    "records": (codec.read_record, ("revision_ns", "epoch")),
    "tombstones": (codec.read_tombstone, ("revision_ns", "epoch")),
    "transitions": (codec.read_transition, ("sequence",)),
    "heartbeats": (codec.read_heard, ()),
    "mark": (codec.read_mark, ()),
}
"""How a value of each is read, and which of its fields stand at its head."""
FIRST = {"revision_ns": "at_ns", "epoch": "registered_at_ns", "sequence": "at_ns"}
"""What stands for a field that is missing, as in the first format."""


class Altered(NamedTuple):
    """One value of a store."""

    kind: str
    name: str
    value: bytes


class Records:
    """A small mesh in a store."""

    def __init__(self) -> None:
        mesh = LivingMesh("other")
        mesh.begin()
        self._batch = mesh.saved()
        self._values = _written(self._batch)

    def altered(self, seed: int) -> Iterator[Altered]:
        """Endless values, each of which somebody altered."""
        chance = random.Random(seed)
        while True:
            kind = chance.choice(["records", *KINDS])
            name = chance.choice([*self._values[kind]])
            yield Altered(kind, name, _altered(chance, self._values[kind][name], KINDS[kind][1]))

    def take(self, altered: Altered) -> bool:
        """Whether it was taken. Then registries that load it, merge with it and follow it live on, and what they write
        can be read again.
        """  # noqa: D205 - one sentence
        read, _ = KINDS[altered.kind]
        try:
            found = read(altered.name, altered.value)
        except UNREADABLE:
            return False
        known = getattr(self._batch, altered.kind)
        if altered.kind == "mark":
            batch = replace(self._batch, mark=found)
        elif altered.kind == "transitions":
            batch = replace(self._batch, transitions=[*(each for each in known if each.node != altered.name), found])
        else:
            batch = replace(self._batch, **{altered.kind: known | {altered.name: found}})
        for take in (self._load, self._merge, self._follow):
            for kind, values in _written(take(batch).live_on()).items():
                for name, value in values.items():
                    KINDS[kind][0](name.partition(" ")[0], value)
        return True

    @staticmethod
    def _load(batch: Batch) -> LivingMesh:
        mesh = LivingMesh("this", 5)
        load(mesh.map, _snapshot(batch))
        return mesh

    def _merge(self, batch: Batch) -> LivingMesh:
        mesh = self._load(self._batch)
        complete(merging.merge(mesh.map, _snapshot(batch)))
        return mesh

    def _follow(self, batch: Batch) -> LivingMesh:
        mesh = self._load(self._batch)
        complete(merging.adopt(mesh.map, batch))
        return mesh


def run(records: Records, seed: int, inputs: int) -> int:
    """Take so many; how many were not set aside. Raises Failed at the first that a registry does not stand."""
    taken = 0
    for number, altered in zip(range(inputs), records.altered(seed), strict=False):
        try:
            taken += records.take(altered)
        except Exception as error:
            raise Failed(f"seed {seed}, input {number}: {type(error).__name__}: {error}\n{altered!r}") from error
    return taken


def _snapshot(batch: Batch) -> Snapshot:
    """As a store makes it."""
    lasts = {each.node: each for each in batch.transitions}
    gone = batch.tombstones
    here = {
        name: record
        for name, record in batch.records.items()
        if name not in gone or gone[name].revision_ns <= record.revision_ns
    }
    nodes = [stored_node(record, batch.heartbeats.get(name), lasts.get(name)) for name, record in here.items()]
    tombstones = [tombstone for name, tombstone in gone.items() if name not in here]
    return Snapshot(sorted(nodes, key=registration_order), tombstones, batch.mark)


def _written(batch: Batch) -> dict[str, dict[str, bytes]]:
    """As Redis has it; a name may have a number behind it."""
    return {
        "records": {
            name: codec._head(each.revision_ns, each.epoch) + codec._encode(each)
            for name, each in batch.records.items()
        },
        "tombstones": {
            name: codec._head(each.revision_ns, each.epoch) + codec._encode(each)
            for name, each in batch.tombstones.items()
        },
        "transitions": {
            f"{each.node} {number}".removesuffix(" 0"): codec._head(each.sequence) + codec._encode(each)
            for number, each in enumerate(batch.transitions)
        },
        "heartbeats": {
            name: codec._head(each.stamp_ns, each.last_seen_ns) + codec._way(each).encode()
            for name, each in batch.heartbeats.items()
        },
        "mark": {"other": codec._encode(batch.mark)},
    }


def _altered(chance: random.Random, value: bytes, head: tuple[str, ...]) -> bytes:
    size = codec.DIGITS * len(head)
    if value[size : size + 1] == b"{" and chance.random() < 0.7:
        return _altered_json(chance, value[size:], head)
    data = bytearray(value)
    for _ in range(chance.randint(1, 4)):
        at, length = chance.randint(0, len(data)), chance.randint(0, 30)
        data[at : at + length] = chance.choice([b"", data[at : at + length] * 2, *TOKENS, b"%020d" % LATEST_NS])
    return bytes(data)


def _altered_json(chance: random.Random, text: bytes, head: tuple[str, ...]) -> bytes:
    """With another value, or without one, or with one more; under a head that agrees with it."""
    document = json.loads(text)
    for _ in range(chance.randint(1, 3)):
        within, key = chance.choice([*_places(document)])
        if chance.random() < 0.2:
            del within[key]
        elif isinstance(within, dict) and chance.random() < 0.2:
            within[chance.choice(["x", "form", key.upper(), *FIRST])] = deepcopy(chance.choice(HOSTILE))
        else:
            within[key] = deepcopy(chance.choice(HOSTILE))
        if not document:
            break
    written = json.dumps(document, ensure_ascii=chance.random() < 0.5)
    for mark, raw in RAW.items():
        written = written.replace(f'"{mark}"', raw)
    heads = [document.get(name) or document.get(FIRST[name]) for name in head]
    numbers = [number if type(number) is int and 0 <= number < 10**codec.DIGITS else 0 for number in heads]
    return codec._head(*numbers) + written.encode("utf-8", "surrogatepass")


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every object or array within, with each of its keys or positions."""
    for key, child in [*(value.items() if isinstance(value, dict) else enumerate(value))]:
        yield value, key
        if isinstance(child, dict | list):
            yield from _places(child)
