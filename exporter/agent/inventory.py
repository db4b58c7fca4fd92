"""Which GPUs the node registers: what a look finds, or what it had before where that is more or nobody could look."""

from __future__ import annotations

from typing import Any

from exporter.agent.checks import clean_text
from exporter.agent.facts import GIB, Facts
from exporter.agent.gpus import Inventory
from exporter.agent.state import StateFile
from exporter.agent.watch import GpuWatch
from exporter.domain.requestoutcome import Reply

MAX_GB, MAX_STATED = 10**9, 1_000_000
"""The registry's limits of what somebody may state."""


class RegisteredGpus:
    """What the registry knows of the node's GPUs, beside what is seen and what the state directory remembers."""

    def __init__(self, facts: Facts, watch: GpuWatch, state: StateFile) -> None:
        self._facts = facts
        self._watch = watch
        self._state = state
        self._known: Inventory | None = None
        self._sent: dict[str, Any] = {}
        """The latest registration that was sent."""

    @property
    def expected(self) -> int:
        """How many the registry expects."""
        return self._known.number if self._known else 0

    def current(self) -> Inventory | None:
        """What to register: what is there now, or, where that is less or unknown, what is remembered."""
        seen, kept = self._watch.inventory(), self._remembered()
        if kept is None or (seen is not None and seen.number > kept.number):
            return seen
        if seen is None or seen.number < kept.number:
            return kept
        if seen.type not in {"", *kept.type.split(", "), kept.type} or seen.memory_bytes:
            return seen
        # One of them does not know what it is: that makes none of them another.
        return seen._replace(type=kept.type, memory_bytes=kept.memory_bytes)

    def registration(self, inventory: Inventory | None) -> dict[str, Any]:
        """The node's registration with these GPUs, which is sent now."""
        self._sent = self._facts.registration(inventory)
        return self._sent

    def take(self, reply: Reply, inventory: Inventory | None) -> None:
        """Remember what the registry answered to a registration with these: that is what the node should have."""
        known = inventory or Inventory()
        capabilities = reply.document.get("capabilities")
        if isinstance(capabilities, dict):
            count = capabilities.get("gpu_count", int(capabilities.get("gpu") is True))
            memory = capabilities.get("gpu_memory")
            known = Inventory(
                count if isinstance(count, int) else 0,
                str(capabilities.get("gpu_type") or ""),
                round(memory * GIB) if isinstance(memory, (int, float)) and 0 <= memory < MAX_GB else 0,
            )
        self._known = known._replace(remembered=inventory is None or inventory.remembered)
        if known.number or self._state.get("gpus"):
            self._state.put(gpus=known.number, gpu_type=known.type, gpu_memory_bytes=known.memory_bytes)

    def outdated(self) -> bool:
        """Whether a look found what the registry does not know."""
        seen, known = self.current(), self._known
        if seen is None or known is None or seen.remembered or seen.number < known.number:
            return False
        if self._facts.registration(seen) == self._sent:
            return False  # what people state stands, whatever is seen
        if seen.number > known.number or (known.remembered and seen.number):
            return True
        near = abs(seen.memory_bytes - known.memory_bytes) < GIB // 10
        return bool(seen.number) and (seen.type not in {"", known.type} or (seen.memory_bytes > 0 and not near))

    def _remembered(self) -> Inventory | None:
        """What the node had at the latest registration; None where nothing was kept, or what cannot be."""
        count, kind, memory = (self._state.get(key) for key in ("gpus", "gpu_type", "gpu_memory_bytes"))
        if type(count) is not int or not 0 < count <= MAX_STATED:
            return None
        memory = memory if type(memory) is int and 0 <= memory < MAX_GB * GIB else 0
        return Inventory(count, clean_text(kind), memory, remembered=True)
