"""What the registry asks of a store, and what it promises in return.

Ownership: a store keeps no state that the node map needs; the map is read once with `load` and then only written to.
Ordering: one writer calls `save`, one batch at a time; a batch is applied whole or not at all.
Durability: when `save` returns, the batch outlives a `kill -9` of this process (SQLite: of the machine).
Concurrency: several registries may share a Redis. Of two records of one node the later `revision_ns` stands, of two
heartbeats the later stamp, and of one transition written twice the first; `save` says what it was the first to write.
No wall clock decides any of it (docs/design/ordering.md).

The rules, which every store follows, for a node by name and in this order:

- A record is taken if its `revision_ns` is not before that of the record or tombstone that is there; it takes the
  tombstone's place.
- A record or tombstone that has a base is not taken where one stands that is later than the base: another registry
  wrote it meanwhile, and what it says would be lost. (A store that one registry has alone need not look.)
- A tombstone is taken if its `revision_ns` is later than that of the record, or of the tombstone, that is there; record
  and last heartbeat go, the history stays until the tombstone is pruned: after 7 days, at `load`, and the oldest at
  once where there are more than 50,000.
- A transition is taken if its `sequence` is above that of the node's last recorded one, it leads to another status
  than the recorded one, and it comes from that or has a later stamp: otherwise a registry made it that did not know
  the last one, which came after it. One that stands in the history as it is written was taken, and its answer was
  lost. Of a name that is neither registered nor departed, none is. The newest 100 a node are kept.
- A transition of the batch's `history` is put where it is missing, and is no news.
- A heartbeat is taken if its stamp is later than that of the last one; of a node that is not registered, none is.

The recorded status is where the last transition led to, if its `sequence` is above the record's epoch: a node that left
and registered again starts active.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, field
from typing import Protocol

from exporter.domain.durable import Batch, LastHeartbeat, Mark, Recent, Snapshot, StoredNode
from exporter.domain.errors import StoreUnavailable
from exporter.domain.node import NodeRecord, Tombstone
from exporter.domain.recordchecks import RecordFault
from exporter.domain.transition import Transition

__all__ = [
    "Batch",
    "DatasetLost",
    "LastHeartbeat",
    "Mark",
    "OnRejected",
    "Recent",
    "Saved",
    "Snapshot",
    "Store",
    "StoredNode",
    "Unconfirmed",
    "overlook",
]


class DatasetLost(StoreUnavailable):
    """The store lost what it had, or may have: it restarted empty, from an old dump, or failed over to a replica.

    The batch was not applied. `load` again, merge, and save everything from memory; then it has all of it.
    """


class Unconfirmed(StoreUnavailable):
    """A store of ours alone did not answer in time, and may yet apply what it was asked: `load` again, then merge."""


@dataclass(slots=True)
class Saved:
    """What a batch was the first to write, of all registries on this store. A lone registry is always the first.

    What a store has lost, or took already in a batch whose answer never arrived, looks to it like what is new
    or known: a re-seeded store calls everything new, and a repeated batch may be news to nobody.
    """

    records: set[str] = field(default_factory=set)
    """Nodes of which there was no record: never registered here before, or gone since. A changed record is no news."""
    tombstones: set[str] = field(default_factory=set)
    """Nodes that went with this batch: there was a record, or nothing at all; not those of an earlier tombstone."""
    transitions: list[Transition] = field(default_factory=list)
    """Those that were recorded, in the batch's order."""
    standing: dict[str, NodeRecord | Tombstone | None] = field(default_factory=dict)
    """What stands (None: unreadable) in place of records and tombstones whose base is not the latest any more."""
    missing: set[str] = field(default_factory=set, compare=False)
    """Nodes of the batch's heartbeats of which there is neither record nor tombstone: somebody removed it."""
    peers: dict[str, int] = field(default_factory=dict, compare=False)
    """Of each registry on this store, ours among them, how often it wrote; 0 for one that stopped in good order."""
    mesh_ns: int = field(default=0, compare=False)
    """The latest mesh time that any registry wrote."""
    changes_before: int = field(default=0, compare=False)
    """The last of all changes that were saved before; `Store.changes_taken` says how far we know them."""
    changes_after: int = field(default=0, compare=False)
    """The last of ours."""


OnRejected = Callable[[str, RecordFault, str], None]
"""Called, from any thread, for each record that is set aside: where it stands, why, and what is wrong with it."""


def overlook(where: str, reason: RecordFault, fault: str) -> None:
    """Nobody wants to know of records that are set aside."""


class Store(Protocol):
    """Every method raises StoreUnavailable when the store cannot answer now, within two seconds at most.

    What is large (a load, a batch of many thousands) takes its time, as long as the store makes progress.
    """

    shared: bool
    """Whether other registries may write to it: then `changes` gives what they wrote, and without it we are blind."""
    on_rejected: OnRejected
    """What is read is checked as a registration is. A record that cannot be is set aside: it stays where it is until
    its node registers again, and the rest is served."""

    instance: str
    """Our identity among the registries on a shared store; empty where it is not shared."""
    changes_taken: int
    """Up to this one, `changes` has brought what others saved, and its caller asked for more."""
    durable: bool | None
    """Whether what is acknowledged outlives a crash of the server that stores it; None where that is not known yet."""

    async def open(self) -> None:
        """Make ready, once; StoreRefused (and nothing touched) for a store that is damaged, foreign or newer.

        After StoreUnavailable, try again.
        """

    async def probe(self) -> None:
        """Prove, at little cost, that writes are taken and `changes` can be read.."""

    async def load(self) -> Snapshot:
        """Everything that is kept. Damage raises StoreRefused: never a part, never an empty one, without an error.

        Nodes stand by their time of registration and then by name. Tombstones of more than 7 days before the mark are
        pruned: in mesh time, as no wall clock may decide what is forgotten.
        """

    async def save(self, batch: Batch) -> Saved:
        """Make the batch durable. After StoreUnavailable it may have been applied; to save it again is safe."""

    async def agreed(self) -> None:
        """Memory and store agree: after a `load`, all that the store lacked was saved."""

    async def transitions(self, name: str, limit: int) -> list[Transition]:
        """A node's recorded transitions, newest first; empty for a name that is unknown."""

    async def recent(self, since_ns: int, limit: int) -> Recent:
        """What happened at or after that time (wall clock) to any node, at most `limit` of each kind, the newest.

        At least the latest 10,000 of each kind count, and no more need to be looked at.
        """

    async def by_others(self, names: Collection[str]) -> Batch:
        """Of these nodes the records and last heartbeats that stand now, where another registry may have written them.

        `changes` brings them too, in time. At least one name; nothing of a store that is not shared.
        """

    def changes(self) -> AsyncIterator[Batch]:
        """What other registries save from now on, in order. Runs until cancelled; raises StoreUnavailable if it breaks.

        What we saved ourselves is among it where the answer was lost: it may be applied long after we gave it up.

        After it tore, `load` again and merge: what was missed is in there. A store that is not shared yields nothing.
        """

    async def time_ns(self) -> int:
        """The wall clock of all registries on this store: the host's own where it is not shared."""

    async def close(self) -> None:
        """Release everything; safe to call twice."""
