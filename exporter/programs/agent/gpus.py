"""GPUs as NVML, the driver's library, sees them. What it cannot tell is left out; nothing here raises."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from exporter.domain.heartbeat import MAX_GPUS
from exporter.domain.text import MAX_TEXT

_MAKER = re.compile(r"^(?:NVIDIA )?(?:GeForce )?(?=.)")
_log = logging.getLogger("aurora.agent")


@dataclass(frozen=True, slots=True)
class Inventory:
    """What the node has: how many GPUs, their type, and their memory together."""

    count: int = 0
    type: str = ""
    memory_bytes: int = 0


class Gpus:
    """The GPUs of this node. `nvml` is the module pynvml."""

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml
        self._open = False
        self._told = ""

    def inventory(self) -> Inventory:
        """What is there now; nothing at all without a driver, which is said once in the log."""
        types, memory, count = [], 0, 0
        for _, handle in self._handles():
            count += 1
            name = self._asked(self._nvml.nvmlDeviceGetName, handle)
            if name is not None:
                types.append(_MAKER.sub("", name))
            info = self._asked(self._nvml.nvmlDeviceGetMemoryInfo, handle)
            memory += info.total if info is not None else 0
        return Inventory(count, ", ".join(dict.fromkeys(types))[:MAX_TEXT], memory)

    def readings(self) -> list[dict[str, Any]]:
        """One reading for each GPU that answers, as a heartbeat carries them."""
        return [self._reading(index, handle) for index, handle in self._handles()]

    def close(self) -> None:
        """Let go of the driver."""
        if self._open:
            self._open = False
            self._asked(self._nvml.nvmlShutdown)

    def _reading(self, index: int, handle: Any) -> dict[str, Any]:
        nvml = self._nvml
        rates = self._asked(nvml.nvmlDeviceGetUtilizationRates, handle)
        memory = self._asked(nvml.nvmlDeviceGetMemoryInfo, handle)
        milliwatts = self._asked(nvml.nvmlDeviceGetPowerUsage, handle)
        reading = {
            "index": index,
            "uuid": self._asked(nvml.nvmlDeviceGetUUID, handle),
            "utilization": None if rates is None else min(rates.gpu, 100) / 100,
            "memory_used_bytes": None if memory is None else memory.used,
            "temperature_celsius": self._asked(nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU),
            "power_watts": None if milliwatts is None else milliwatts / 1000,
        }
        return {field: value for field, value in reading.items() if value is not None}

    def _handles(self) -> Iterator[tuple[int, Any]]:
        """Those that the driver reaches; one that fell off the bus has a number, and no handle."""
        try:
            if not self._open:
                self._nvml.nvmlInit()
                self._open = True
            count = self._nvml.nvmlDeviceGetCount()
        except self._nvml.NVMLError as error:
            self._tell(str(error))
            # A driver that was exchanged while we ran is found only by beginning anew.
            self.close()
            return
        self._tell("")
        for index in range(min(count, MAX_GPUS)):
            handle = self._asked(self._nvml.nvmlDeviceGetHandleByIndex, index)
            if handle is not None:
                yield index, handle

    def _asked(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """What NVML says, or None: not supported, lost, or not permitted."""
        try:
            return call(*arguments)
        except self._nvml.NVMLError as error:
            _log.debug("a GPU did not answer", extra={"call": call.__name__, "reason": str(error)})
            return None

    def _tell(self, reason: str) -> None:
        if reason == self._told:
            return
        if reason:
            _log.info("no NVIDIA GPU can be read", extra={"reason": reason})
        else:
            _log.info("the GPUs can be read again")
        self._told = reason
