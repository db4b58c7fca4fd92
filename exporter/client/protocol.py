"""What a node can say to the registry, and what it can learn from the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from exporter.domain.requestoutcome import Reply


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
