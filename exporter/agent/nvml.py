"""NVIDIA's GPUs, as NVML, the driver's library, sees them. Nothing here raises."""

from __future__ import annotations

import _ctypes
import contextlib
import ctypes
import re
from collections.abc import Callable
from typing import Any

from exporter.agent.checks import clean_text
from exporter.agent.gpus import MAX_GPUS, Gpu, Look, Sight, reading_of, total_of
from exporter.agent.health import XidWatch, health_of

LIBRARY = "libnvidia-ml.so.1"
LOST = frozenset({15, 16})
"""NVML_ERROR_GPU_IS_LOST, _RESET_REQUIRED: nobody can use this GPU."""
UNREACHABLE = frozenset({8, 9, 11, 12, 13, 18})
"""_INSUFFICIENT_POWER, _DRIVER_NOT_LOADED, _IRQ_ISSUE, _LIBRARY_NOT_FOUND, _FUNCTION_NOT_FOUND,
_LIB_RM_VERSION_MISMATCH: nobody can use any GPU."""
TRANSIENT = frozenset({4, 10, 17, 20, 999})
"""_NO_PERMISSION, _TIMEOUT, _OPERATING_SYSTEM, _MEMORY, _UNKNOWN: says nothing of the GPU."""
_MISSING = re.compile(rf"(?:Error loading shared library )?{re.escape(LIBRARY)}: (?!.*needed by).*No such file")
"""As the GNU library says it, and musl."""
_MAKER = re.compile(r"^(?:NVIDIA )?(?:GeForce )?(?=.)")


class Lost(Exception):
    """The GPU fell off, or has to be reset."""


class Nvml:
    """One driver's library: loaded when somebody looks, and let go when it fails, so that another one is found."""

    def __init__(self) -> None:
        self._nvml: Any = None
        self._uuids: dict[int, str] = {}
        self._handles: dict[int, Any] = {}
        self._xids: XidWatch | None = None

    def look(self) -> Look:
        """What is there now."""
        try:
            return self._look()
        except Exception as error:  # noqa: BLE001 - whatever a driver does, the node lives
            self.close()
            return _failure(error)

    def health(self) -> dict[int, dict[str, Any]]:
        """The health of the GPUs of the latest look, by index; of those that are lost, no more than why."""
        known: dict[int, dict[str, Any]] = {}
        nvml = self._nvml
        if nvml is None:
            return known
        if self._xids is None or not self._xids.running:
            self._xids = self._xids or XidWatch(nvml)
            self._xids.start(self._handles)
        for index, handle in list(self._handles.items()):
            try:
                health = health_of(nvml, self._ask, handle)
            except Exception:  # noqa: BLE001 - lost, or whatever a driver does
                health = {}
            xids = self._xids.of(index)
            if xids is not None:
                health["xid_errors"] = xids
            known[index] = health
        return known

    def close(self) -> None:
        """Let go of the driver and its library: the GPU may sleep, the driver may be exchanged."""
        nvml, self._nvml = self._nvml, None
        self._uuids.clear()
        self._handles.clear()
        if nvml is None:
            return
        ended = self._xids is None or self._xids.stop()
        with contextlib.suppress(Exception):
            nvml.nvmlShutdown()
        # pynvml keeps the library of the day it was first loaded, and talks to a driver that is gone.
        library, nvml.nvmlLib = nvml.nvmlLib, None
        nvml._nvmlGetFunctionPointer_cache.clear()  # noqa: SLF001 - there is no other way
        nvml._nvmlLib_refcount = 0  # noqa: SLF001 - as above
        if library is not None and ended:
            _ctypes.dlclose(library._handle)  # noqa: SLF001 - as above

    def _look(self) -> Look:
        if self._nvml is None:
            absent = _absence()
            if absent is not None:
                return absent
            self._open()
        nvml = self._nvml
        count = nvml.nvmlDeviceGetCount()
        if count > MAX_GPUS:
            return Look(Sight.UNSURE, reason=f"the driver counts {count} GPUs, which cannot be")
        gpus, unsure = [], 0
        for index in range(count):
            try:
                handle = nvml.nvmlDeviceGetHandleByIndex(index)
            except nvml.NVMLError as error:
                unsure += error.value in TRANSIENT
                # That it is there is what the count says, and nothing says that it is lost.
                if error.value in TRANSIENT:
                    gpus.append(Gpu(index, reading={"index": index}))
                continue
            self._handles[index] = handle
            try:
                gpus.append(self._gpu(index, handle))
            except Lost:
                continue
        if count and unsure == count:
            return Look(Sight.UNSURE, reason="no GPU gives an answer that means anything")
        return Look(Sight.SEEN, count, tuple(gpus))

    def _open(self) -> None:
        import pynvml  # type: ignore[import-untyped]  # noqa: PLC0415 - large, and only of use beside a driver

        try:
            pynvml.nvmlInit()
        except BaseException:
            self._nvml = pynvml
            raise
        self._nvml = pynvml

    def _gpu(self, index: int, handle: Any) -> Gpu:
        nvml = self._nvml
        rates = self._ask(nvml.nvmlDeviceGetUtilizationRates, handle)
        memory = self._ask(nvml.nvmlDeviceGetMemoryInfo, handle)
        milliwatts = self._ask(nvml.nvmlDeviceGetPowerUsage, handle)
        total = 0 if memory is None else total_of(memory.total)
        values = {
            "uuid": self._ask(nvml.nvmlDeviceGetUUID, handle),
            "utilization": None if rates is None else rates.gpu / 100,
            "memory_used_bytes": None if memory is None else memory.used,
            "temperature_celsius": self._ask(nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU),
            "power_watts": None if milliwatts is None else milliwatts / 1000,
        }
        reading = reading_of(index, total, values)
        if "uuid" in reading:
            self._uuids[index] = reading["uuid"]
        elif index in self._uuids:
            # A series must not change its name because one question was not answered.
            reading["uuid"] = self._uuids[index]
        name = clean_text(self._ask(nvml.nvmlDeviceGetName, handle))
        return Gpu(index, _MAKER.sub("", name), total, reading)

    def _ask(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """What NVML says, or None: not supported, not permitted, or nothing that can be read. Raises Lost."""
        try:
            return call(*arguments)
        except self._nvml.NVMLError as error:
            if error.value in LOST:
                raise Lost from None
        except (UnicodeDecodeError, ValueError, TypeError, OverflowError):
            pass
        return None


def _absence() -> Look | None:
    """What it means that the library cannot be loaded; None where it can."""
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as error:
        text = str(error)
        # The library itself, and not one that it needs.
        return Look(Sight.ABSENT if _MISSING.match(text) else Sight.BROKEN, reason=text)
    _ctypes.dlclose(library._handle)  # noqa: SLF001 - ctypes has no other way
    return None


def _failure(error: Exception) -> Look:
    code = getattr(error, "value", None)
    return Look(Sight.BROKEN if code in UNREACHABLE else Sight.UNSURE, reason=str(error) or type(error).__name__)
