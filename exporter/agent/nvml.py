"""NVIDIA's GPUs, as NVML, the driver's library, sees them. Nothing here raises."""

from __future__ import annotations

import _ctypes
import contextlib
import ctypes
import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
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
        """Of the GPUs by their index, also from before the library was let go: of one that is lost, nobody says it."""
        self._handles: dict[int, Any] = {}
        self._answering: tuple[int, ...] = ()
        self._count = self._most = 0
        self._xids: XidWatch | None = None
        self._file: tuple[int, int] | None = None
        """Which one the library was loaded from: its device and inode."""
        self._stuck: list[tuple[Any, tuple[int, int] | None, threading.Thread]] = []
        """Libraries that could not be let go, their files, and the threads of ours that do not return from them."""

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
        xids = self._xids = self._xids or XidWatch(nvml)
        if not self._is_stuck(nvml.nvmlLib):
            xids.follow({self._known_as(index): self._handles[index] for index in self._answering})
        for index in range(self._count):
            try:
                health = health_of(nvml, self._ask, self._handles[index]) if index in self._handles else {}
            except Exception:  # noqa: BLE001 - lost, or whatever a driver does
                health = {}
            errors = xids.of(self._known_as(index))
            if errors is not None:
                health["xid_errors"] = errors
            known[index] = {**health, "uuid": self._uuids.get(index, "")}
        # One that fell off, and whose index another one has now, is numbered behind those that there are.
        gone = xids.others(set(map(self._known_as, range(self._count))))
        for index, gpu in zip(range(self._count, self._most), gone):
            known[index] = {"xid_errors": xids.of(gpu), "uuid": gpu.partition("\n")[0]}
        return known

    def _known_as(self, index: int) -> str:
        """What stays of a GPU when others get its index: its UUID, where it has one to itself."""
        uuid = self._uuids.get(index, "")
        return uuid if uuid and list(self._uuids.values()).count(uuid) == 1 else f"{uuid}\n{index}"

    def close(self) -> None:
        """Let go of the driver and its library: the GPU may sleep, the driver may be exchanged."""
        nvml, self._nvml = self._nvml, None
        self._handles.clear()
        self._answering = ()
        if nvml is None:
            return
        thread = None if self._xids is None else self._xids.let_go()
        with contextlib.suppress(Exception):
            nvml.nvmlShutdown()
        # pynvml keeps the library of the day it was first loaded, and talks to a driver that is gone.
        library, nvml.nvmlLib = nvml.nvmlLib, None
        nvml._nvmlGetFunctionPointer_cache.clear()  # noqa: SLF001 - there is no other way
        nvml._nvmlLib_refcount = 0  # noqa: SLF001 - as above
        if library is not None and thread is not None:
            self._stuck.append((library, self._file, thread))
        elif library is not None:
            _unload(library)

    def _is_stuck(self, library: Any) -> bool:
        """Whether a thread of ours does not return from this library."""
        return any(other._handle == library._handle for other, *_ in self._stuck)  # noqa: SLF001 - as above

    def _load(self) -> Any:
        """The driver's library as it lies there now; raises OSError."""
        for entry in self._stuck[:]:
            if not entry[-1].is_alive():
                self._stuck.remove(entry)
                _unload(entry[0])
        library = ctypes.CDLL(LIBRARY)
        path = _path_of(library)
        self._file = _file_of(path)
        if self._is_stuck(library) and self._file not in [file for _, file, _ in self._stuck]:
            # The loader gives the loaded library for each name that it had, also if another file lies there now:
            # this is a path that was not used yet.
            _unload(library)
            directory, _, name = path.rpartition("/")
            library = ctypes.CDLL(f"{directory}/{'./' * len(self._stuck)}{name}")
        return library

    def _look(self) -> Look:
        if self._nvml is None:
            try:
                library = self._load()
            except OSError as error:
                text = str(error)
                # The library itself, and not one that it needs.
                return Look(Sight.ABSENT if _MISSING.match(text) else Sight.BROKEN, reason=text)
            self._open(library)
        nvml = self._nvml
        count = nvml.nvmlDeviceGetCount()
        if count > MAX_GPUS:
            return Look(Sight.UNSURE, reason=f"the driver counts {count} GPUs, which cannot be")
        gpus: list[Gpu] = []
        handles: dict[int, Any] = {}
        unsure = 0
        for index in range(count):
            try:
                handle = nvml.nvmlDeviceGetHandleByIndex(index)
            except nvml.NVMLError as error:
                unsure += error.value in TRANSIENT
                # That it is there is what the count says, and nothing says that it is lost.
                if error.value in TRANSIENT:
                    gpus.append(Gpu(index, reading={"index": index}))
                continue
            handles[index] = handle
            try:
                gpus.append(self._gpu(index, handle))
            except Lost:
                continue
        if count and unsure == count:
            return Look(Sight.UNSURE, reason="no GPU gives an answer that means anything")
        self._handles, self._count, self._most = handles, count, max(count, self._most)
        self._answering = tuple(gpu.position for gpu in gpus if gpu.position in handles)
        return Look(Sight.SEEN, count, tuple(self._named(gpus)))

    def _named(self, gpus: list[Gpu]) -> Iterator[Gpu]:
        """With the UUID that a GPU had, where the driver did not answer that one question: its series keep their name.

        Not with one that another GPU has now: what falls off may change the order of the others.
        """
        now = {gpu.position: gpu.reading["uuid"] for gpu in gpus if "uuid" in gpu.reading}
        before = {index: uuid for index, uuid in self._uuids.items() if uuid not in now.values()}
        self._uuids = {**before, **now}
        for gpu in gpus:
            uuid = self._uuids.get(gpu.position)
            yield gpu._replace(reading={**gpu.reading, "uuid": uuid}) if uuid else gpu

    def _open(self, library: Any) -> None:
        try:
            import pynvml  # type: ignore[import-untyped]  # noqa: PLC0415 - large, and only of use beside a driver
        except BaseException:
            _unload(library)
            raise
        self._nvml = pynvml
        pynvml.nvmlLib = library
        pynvml.nvmlInit()

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


def _path_of(library: Any) -> str:
    """Where it was loaded from: handles point to what dlinfo(3) calls a link_map, the address and then the name."""
    name = ctypes.cast(library._handle, ctypes.POINTER(ctypes.c_char_p))[1]  # noqa: SLF001 - ctypes has no other way
    return os.fsdecode(name or b"")


def _file_of(path: str) -> tuple[int, int] | None:
    """The device and inode of what lies there now; None where nothing does."""
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _unload(library: Any) -> None:
    _ctypes.dlclose(library._handle)  # noqa: SLF001 - as above


def _failure(error: Exception) -> Look:
    code = getattr(error, "value", None)
    return Look(Sight.BROKEN if code in UNREACHABLE else Sight.UNSURE, reason=str(error) or type(error).__name__)
