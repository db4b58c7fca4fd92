"""A node: the durable record of what it is, and its live state."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import msgspec

from exporter.domain.lifecycle import IN_SERVICE, Lifecycle
from exporter.domain.registration import Registration
from exporter.domain.status import Status, Transport
from exporter.domain.transition import Transition

if TYPE_CHECKING:
    from exporter.domain.heartbeat import GpuHealth, GpuReading, Ignored


class NodeRecord(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What outlives the process. Of two records of one node the later `revision_ns` stands."""

    registration: Registration
    registered_at_ns: int
    """On the wall clock: for people."""
    revision_ns: int
    """Mesh time, or one more than the revision before it where that is later."""
    lifecycle: Lifecycle = IN_SERVICE
    epoch: int = 0
    """The revision of the registration that the node appeared with: its transitions count on from here, those of an
    earlier node of this name are below. Records of the first format have none: there the time of registration is it."""

    def __post_init__(self) -> None:
        if not self.epoch:
            msgspec.structs.force_setattr(self, "epoch", self.registered_at_ns)

    @property
    def name(self) -> str:
        """The node's name: the key of everything."""
        return self.registration.name


class Removal(enum.StrEnum):
    """Why a node is gone."""

    DEPARTED = "departed"
    FORGOTTEN = "forgotten"


class Tombstone(msgspec.Struct, frozen=True, gc=False):
    """A node that is gone, kept so that late heartbeats do not bring it back and no store is re-seeded with it."""

    name: str
    at_ns: int
    """On the wall clock: for people."""
    removal: Removal
    registered_at_ns: int = 0
    revision_ns: int = 0
    """As a record's; `at_ns` where the first format has none."""
    epoch: int = 0
    """That of the record."""

    def __post_init__(self) -> None:
        if not self.revision_ns:
            msgspec.structs.force_setattr(self, "revision_ns", self.at_ns)
        if not self.epoch:
            msgspec.structs.force_setattr(self, "epoch", self.registered_at_ns)


class Scope(enum.StrEnum):
    """What a disruption is of."""

    SITE = "site"
    MESH = "mesh"


class Disruption(msgspec.Struct, frozen=True, gc=False):
    """Nodes of a site, or of the whole mesh, that went missing together; `began_ns` is of the wall clock."""

    scope: Scope
    began_ns: int


class Live(msgspec.Struct, frozen=True, gc=False):
    """How a node stood when it was last known; `last_seen_ns` is of the wall clock, the others of the monotonic."""

    last_heartbeat_ns: int
    last_seen_ns: int
    transport: Transport
    status: Status
    status_since_ns: int
    last_transition: Transition | None = None
    via: str = ""


class Node:
    """One node of the map. Only the node map writes to it."""

    __slots__ = (
        "clock_offset_ns",
        "conflicts",
        "disruptions",
        "entered_active",
        "entered_offline",
        "entered_warning",
        "gpu_health",
        "gpus_observed",
        "identity",
        "identity_before",
        "identity_since_ns",
        "ignored",
        "last_heartbeat_ns",
        "last_seen_ns",
        "last_transition",
        "long_offline",
        "missed",
        "order",
        "path",
        "queue",
        "readings",
        "readings_ns",
        "record",
        "renamed_to",
        "report_bytes",
        "reported_status",
        "sequence",
        "status",
        "status_since_ns",
        "transport",
    )

    def __init__(self, record: NodeRecord, order: int, live: Live) -> None:
        self.record = record
        self.order = order
        """Position in order of registration; unique, and never used again in this process."""
        self.transport = live.transport
        self.last_heartbeat_ns = live.last_heartbeat_ns
        """Last heartbeat on the monotonic clock: ages are derived from it."""
        self.last_seen_ns = live.last_seen_ns
        """Last heartbeat on the wall clock: for people, the store and the gauge. Never goes back."""
        self.status = live.status
        self.status_since_ns = live.status_since_ns
        """When the status was entered, on the monotonic clock."""
        self.long_offline = False
        """Offline for longer than the site rule's `recent`: no part of a disruption any more."""
        self.last_transition: Transition | None = live.last_transition
        """The latest that was made or recorded, of this node or an earlier one of its name."""
        self.path: object = None
        """The node map's own: the way on which the last heartbeat came."""
        self.disruptions: tuple[Disruption, ...] = ()
        """Those with which it went missing; their alerts stand in place of its own."""
        self.renamed_to = ""
        """The name under which the same machine registered after this one's last heartbeat."""
        self.queue: object = None
        """The node map's own: where the node waits for its next threshold."""
        self.reported_status: str | None = None
        self.clock_offset_ns: int | None = None
        self.sequence: int | None = None
        self.missed = 0
        """Heartbeats missed, by gaps in their sequence numbers."""
        self.conflicts = 0
        """Refused claims of the name."""
        self.entered_active = 0
        self.entered_warning = 0
        self.entered_offline = 0
        self.readings: tuple[GpuReading, ...] = ()
        """Live GPU readings of the latest heartbeat that carried any; empty while offline."""
        self.gpu_health: tuple[tuple[int, str, GpuHealth], ...] = ()
        """Of those readings that have it: the GPU's index, its UUID, and its health."""
        self.readings_ns = 0
        """When those readings were taken in, on the monotonic clock."""
        self.gpus_observed: int | None = None
        self.identity = ""
        """The agent's instance, or the address, that sends for the node."""
        self.identity_before = ""
        self.identity_since_ns = 0
        self.ignored: tuple[Ignored, ...] = ()
        """What was left out of the latest heartbeat."""
        self.report_bytes = 0
        """What `readings` and `ignored` count as, of `limits.max_state`."""

    @property
    def name(self) -> str:
        """The node's name."""
        return self.record.registration.name

    @property
    def facts(self) -> Registration:
        """What the node says it is."""
        return self.record.registration

    @property
    def lifecycle(self) -> Lifecycle:
        """The second axis beside status."""
        return self.record.lifecycle

    @property
    def sequence_now(self) -> int:
        """The number of the latest transition; the epoch where there was none since."""
        last = self.last_transition
        return max(last.sequence, self.record.epoch) if last else self.record.epoch

    @property
    def free_vram_bytes(self) -> int:
        """VRAM that nobody uses, by the readings; all of it where there are none."""
        total = self.record.registration.gpu_memory_bytes
        if not self.readings:
            return total
        return max(0, total - sum(reading.memory_used_bytes or 0 for reading in self.readings))
