"""What a node can say to the registry, and what it can learn from the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from exporter.domain.requestoutcome import Outcome


@dataclass(frozen=True, slots=True)
class Reply:
    """The registry's answer, or what takes its place where none came."""

    outcome: Outcome
    reason: str = ""
    """A sentence for people without its full stop: what is wrong and what to do. Empty where it was received."""
    retry_after_seconds: float | None = None
    """When the registry thinks that it is worth trying again, if it said so."""
    heartbeat_interval_seconds: float | None = None
    """How often the registry expects heartbeats; only HTTP answers to a registration say so."""

    @property
    def ok(self) -> bool:
        """Whether all is well."""
        return self.outcome is Outcome.OK


OK = Reply(Outcome.OK)


class RegistryClient(Protocol):
    """A way to the registry. Each call is made at most within the client's timeout, and never raises for the way."""

    @property
    def endpoint(self) -> str:
        """Where it sends to, fit for a log: no user, no password."""

    async def register(self, registration: Mapping[str, Any]) -> Reply:
        """Say what a node is: the body of `POST /nodes/register`, whose `name` is required."""

    async def heartbeat(self, node: str, report: Mapping[str, Any]) -> Reply:
        """Say that a node lives. `report` is the body of `POST /nodes/{name}/heartbeat`: `status`, `timestamp`,
        `sequence`, `gpus`, each optional, and `role`, which lets a node that is not known appear over the bus.
        """  # noqa: D205 - one sentence

    async def leave(self, node: str) -> Reply:
        """A planned leave: never an alert. UNKNOWN where there was nobody to leave."""

    async def aclose(self) -> None:
        """Close the connections. It does not wait for calls that hang."""
