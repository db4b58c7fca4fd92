"""All drivers of this machine as one: NVIDIA's GPUs first, then AMD's."""

from __future__ import annotations

from typing import Any

from exporter.agent.amd import Amd
from exporter.agent.gpus import Look, Sight, joined
from exporter.agent.nvml import Nvml


class Drivers:
    """Whatever drivers there are."""

    def __init__(self) -> None:
        self._nvml = Nvml()
        self._amd = Amd()
        self._first_of_amd = 0

    def look(self) -> Look:
        """What is there now."""
        nvidia = self._nvml.look()
        if nvidia.sight in {Sight.SEEN, Sight.ABSENT}:
            self._first_of_amd = nvidia.number
        else:
            # AMD's keep their numbers.
            nvidia = nvidia._replace(number=self._first_of_amd)
        return joined([nvidia, self._amd.look()])

    def health(self) -> dict[int, dict[str, Any]]:
        """How the GPUs of the latest look are."""
        known = self._nvml.health()
        known.update({index + self._first_of_amd: health for index, health in self._amd.health().items()})
        return known

    def close(self) -> None:
        """Let go of what can be let go."""
        self._nvml.close()
