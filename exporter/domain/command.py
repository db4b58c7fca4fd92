"""What may be asked of the node map: each command is planned, made durable, and then applied whole."""

from __future__ import annotations

from dataclasses import dataclass

from exporter.domain.lifecycle import Lifecycle, Phase
from exporter.domain.registration import Registration
from exporter.domain.status import Transport


@dataclass(frozen=True, slots=True)
class Register:
    """A node says what it is; it counts as a heartbeat.

    Not with `heartbeat=False`: somebody else says it for the node. A node that is new counts from then on either way.
    """

    registration: Registration
    transport: Transport = Transport.HTTP
    heartbeat: bool = True
    since_ns: int | None = None
    """Sent after that, in mesh time, and nobody knows how long after: what was written since stands. None: now."""

    @property
    def name(self) -> str:
        """The node that it is about."""
        return self.registration.name


@dataclass(frozen=True, slots=True)
class Depart:
    """A planned leave: never an alert."""

    name: str
    since_ns: int | None = None
    """As of `Register`."""


@dataclass(frozen=True, slots=True)
class SetLifecycle:
    """People take a node out of service, or put it back (`IN_SERVICE`)."""

    name: str
    lifecycle: Lifecycle
    instead_of: Phase | None = None
    """Only where this phase keeps the node out of service, which another registry may know better; None: whatever."""


@dataclass(frozen=True, slots=True)
class SetGpuCount:
    """People say how many GPUs the node should have; it is no heartbeat."""

    name: str
    count: int


Command = Register | Depart | SetLifecycle | SetGpuCount
