"""How NVIDIA's GPUs are, beyond what they do: errors, worn memory, throttling, links."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable, Container
from typing import Any

from exporter.agent.gpus import MAX_CODE, MAX_ERRORS, MAX_HERTZ, MAX_JOULES, MAX_ROWS

Ask = Callable[..., Any]
"""Calls a function of NVML; None where it says nothing."""
UNCORRECTED, VOLATILE = 1, 0
CLOCK_SM, CLOCK_MEMORY = 1, 2
BUSY_STATE = 2
"""Performance states above it save power: a link at a low generation is no fault then."""
MAX_FAN = 200
MAX_LENGTH = 1_000_000
MAX_CODES = 64
MAX_ACTION, MAX_REASONS = 0xFE, 0xFFFE
"""All bits of a number is how drivers write "unknown", however wide it is."""
WIDTHS, GENERATIONS = range(1, 33), range(1, 33)
"""Of a PCIe link. What lies outside of these is nothing that hardware has."""
THROTTLING = {
    0x04: "sw_power_cap",
    0x20: "sw_thermal",
    0x08: "hw_slowdown",
    0x40: "hw_thermal",
    0x80: "hw_power_brake",
}
"""By the bits of NVML's reasons; those that somebody configured, or that an idle GPU has, do not count."""
WAIT_MS, PAUSE = 1000, 0.01
STOP_SECONDS = 3.0


def health_of(nvml: Any, ask: Ask, handle: Any) -> dict[str, Any]:
    """One GPU's health, as a heartbeat carries it. `ask` may raise what says that the GPU is lost."""
    health: dict[str, Any] = {
        "ecc_uncorrected_errors": _total(
            ask(nvml.nvmlDeviceGetTotalEccErrors, handle, UNCORRECTED, VOLATILE), MAX_ERRORS
        ),
        "throttled": _throttled(ask(nvml.nvmlDeviceGetCurrentClocksThrottleReasons, handle)),
        "pcie_degraded": _pcie_degraded(nvml, ask, handle),
        "sm_clock_hertz": _hertz(ask(nvml.nvmlDeviceGetClockInfo, handle, CLOCK_SM)),
        "memory_clock_hertz": _hertz(ask(nvml.nvmlDeviceGetClockInfo, handle, CLOCK_MEMORY)),
        "recovery_needed": _recovery_needed(nvml, ask, handle),
    }
    rows = ask(nvml.nvmlDeviceGetRemappedRows, handle)
    if rows is not None:
        health["remapped_rows"] = _total(rows[1], MAX_ROWS)
        health["remap_pending"], health["remap_failed"] = _flag(rows[2]), _flag(rows[3])
    else:
        # Before Ampere, pages were retired in place of rows.
        pages = [ask(_length, nvml, "nvmlDeviceGetRetiredPages", handle, cause) for cause in (0, 1)]
        health["retired_pages"] = None if None in pages else sum(pages)
    fan = ask(nvml.nvmlDeviceGetFanSpeed, handle)
    health["fan"] = fan / 100 if fan is not None and fan <= MAX_FAN else None
    millijoules = _total(ask(nvml.nvmlDeviceGetTotalEnergyConsumption, handle), MAX_JOULES * 1000)
    health["energy_joules"] = None if millijoules is None else millijoules / 1000
    mig = ask(nvml.nvmlDeviceGetMigMode, handle)
    health["mig_enabled"] = None if mig is None else _flag(mig[0])
    health["processes"] = ask(_length, nvml, "nvmlDeviceGetComputeRunningProcesses_v3", handle)
    return {key: value for key, value in health.items() if value is not None}


def _throttled(reasons: int | None) -> list[str] | None:
    if reasons is None or reasons > MAX_REASONS:
        return None
    return [name for bit, name in THROTTLING.items() if reasons & bit]


def _pcie_degraded(nvml: Any, ask: Ask, handle: Any) -> bool | None:
    width, widest = ask(nvml.nvmlDeviceGetCurrPcieLinkWidth, handle), ask(nvml.nvmlDeviceGetMaxPcieLinkWidth, handle)
    if width not in WIDTHS or widest not in WIDTHS:
        return None
    if width < widest:
        return True
    state = ask(nvml.nvmlDeviceGetPerformanceState, handle)
    if state is None or state > BUSY_STATE:
        return False
    generation = ask(nvml.nvmlDeviceGetCurrPcieLinkGeneration, handle)
    newest = ask(nvml.nvmlDeviceGetMaxPcieLinkGeneration, handle)
    return generation in GENERATIONS and newest in GENERATIONS and generation < newest


def _recovery_needed(nvml: Any, ask: Ask, handle: Any) -> bool | None:
    field = getattr(nvml, "NVML_FI_DEV_GET_GPU_RECOVERY_ACTION", None)
    values = None if field is None else ask(nvml.nvmlDeviceGetFieldValues, handle, [field])
    if values is None or values[0].nvmlReturn != 0:
        return None
    action = values[0].value.uiVal
    return None if action > MAX_ACTION else bool(action != nvml.NVML_GPU_RECOVERY_ACTION_NONE)


def _length(nvml: Any, function: str, *arguments: Any) -> int | None:
    """How long a list of the driver's is. The list itself is not asked for, since its length is the driver's word."""
    length = ctypes.c_uint(0)
    code = nvml._nvmlGetFunctionPointer(function)(*arguments, ctypes.byref(length), None)  # noqa: SLF001 - no other way
    if code not in {nvml.NVML_SUCCESS, nvml.NVML_ERROR_INSUFFICIENT_SIZE}:
        raise nvml.NVMLError(code)
    return length.value if length.value <= MAX_LENGTH else None


def _total(value: int | None, most: int) -> int | None:
    return value if value is not None and 0 <= value <= most else None


def _flag(value: int) -> bool | None:
    return value == 1 if value in {0, 1} else None


def _hertz(megahertz: int | None) -> int | None:
    return None if megahertz is None or megahertz * 1_000_000 > MAX_HERTZ else megahertz * 1_000_000


class XidWatch:
    """Counts XID errors as the driver reports them, in a thread of its own, which waits in the driver."""

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._tried: set[int | None] = set()
        self._counts: dict[str, dict[str, int]] = {}

    def follow(self, handles: dict[str, Any]) -> None:
        """Wait for events of these GPUs, by what each is known as, from now on; without, where the driver has none."""
        if self.running and (self._tried.issuperset(map(_address, handles.values())) or not self.stop()):
            return
        self._tried = set(map(_address, handles.values()))
        self._stopping = threading.Event()
        nvml = self._nvml
        try:
            events = nvml.nvmlEventSetCreate()
        except Exception:  # noqa: BLE001 - whatever a driver does
            return
        positions = {}
        for gpu, handle in handles.items():
            try:
                nvml.nvmlDeviceRegisterEvents(handle, nvml.nvmlEventTypeXidCriticalError, events)
            except Exception:  # noqa: BLE001, S112 - not supported, as on a laptop's GPU
                continue
            positions[_address(handle)] = gpu
            self._counts.setdefault(gpu, {})
        arguments = (events, positions, self._stopping)
        self._thread = threading.Thread(target=self._wait, args=arguments, name="aurora-xids", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it waits for events."""
        return self._thread is not None and self._thread.is_alive()

    def of(self, gpu: str) -> dict[str, int] | None:
        """The errors of a GPU, by their code; None where the driver does not report any of it."""
        counts = self._counts.get(gpu)
        return None if counts is None else dict(counts)

    def others(self, known: Container[str]) -> list[str]:
        """What else had errors."""
        return [gpu for gpu, counts in self._counts.items() if counts and gpu not in known]

    def stop(self) -> bool:
        """End the thread; whether it ended."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)
        return not self.running

    def let_go(self) -> threading.Thread | None:
        """End the thread and forget it; the one that did not end, since its library may not be let go then."""
        ended = self.stop()
        thread, self._thread = self._thread, None
        return None if ended else thread

    def _wait(self, events: Any, positions: dict[int | None, str], stopping: threading.Event) -> None:
        nvml = self._nvml
        library = nvml.nvmlLib
        while not stopping.is_set():
            began = time.monotonic()
            try:
                event = nvml.nvmlEventSetWait_v2(events, WAIT_MS)
            except nvml.NVMLError as error:
                if error.value != nvml.NVML_ERROR_TIMEOUT:
                    break
                # A driver that does not wait must not keep a processor busy.
                time.sleep(max(0.0, began + WAIT_MS / 1000 - time.monotonic()))
            except Exception:  # noqa: BLE001 - whatever a driver does
                break
            else:
                self._count(positions.get(_address(event.device)), int(event.eventData))
                time.sleep(PAUSE)
        if nvml.nvmlLib is not library:
            return  # it came back too late, and another library does not know these events
        try:
            nvml.nvmlEventSetFree(events)
        except Exception:  # noqa: BLE001 - as above
            return

    def _count(self, gpu: str | None, code: int) -> None:
        if gpu is None or not 0 < code < MAX_CODE:
            return
        counts = self._counts.setdefault(gpu, {})
        if str(code) in counts or len(counts) < MAX_CODES:
            counts[str(code)] = counts.get(str(code), 0) + 1


def _address(handle: Any) -> int | None:
    return ctypes.cast(handle, ctypes.c_void_p).value
