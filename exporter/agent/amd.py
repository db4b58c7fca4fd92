"""AMD's GPUs, as the kernel's driver shows them in sysfs; it needs no library.

Source: Linux, the driver amdgpu's documents of its files.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from exporter.agent.checks import clean_text
from exporter.agent.gpus import MAX_GPUS, MAX_MEMORY, Gpu, Look, Sight, reading_of, total_of
from exporter.agent.health import WIDTHS

DRM = Path("/sys/class/drm")
VENDOR = "0x1002"
LEAST_MEMORY = 4 * 2**30
"""A processor's own graphics have less: nobody means them by the node's GPUs."""
MAX_FILE = 4096
"""What sysfs gives of a file at once."""
MAX_DIGITS = 20
"""Of a number of 64 bits, with its sign."""
_CARD = re.compile(r"card(\d+)")


class Amd:
    """The cards of this machine."""

    def __init__(self, drm: Path = DRM) -> None:
        self._drm = drm
        self._counted: set[str] = set()

    def look(self) -> Look:
        """What is there now."""
        try:
            cards = self._cards()
        except OSError as error:
            return Look(Sight.UNSURE if self._counted else Sight.ABSENT, reason=str(error))
        if not cards:
            return Look(Sight.ABSENT, reason="no GPU of AMD")
        gpus = [self._gpu(index, card) for index, card in enumerate(cards[:MAX_GPUS])]
        return Look(Sight.SEEN, len(gpus), tuple(gpus))

    def health(self) -> dict[int, dict[str, Any]]:
        """Their fans and links."""
        try:
            return {index: self._health(card) for index, card in enumerate(self._cards()[:MAX_GPUS])}
        except OSError:
            return {}

    def _cards(self) -> list[Path]:
        found = []
        for path in self._drm.iterdir():
            match = _CARD.fullmatch(path.name)
            device = path / "device"
            if match and (_text(device / "vendor") == VENDOR or path.name in self._counted):
                if not self._is_meant(path.name, device / "mem_info_vram_total"):
                    continue
                self._counted.add(path.name)
                found.append((int(match[1]), device))
        return [device for _, device in sorted(found)]

    def _is_meant(self, name: str, memory: Path) -> bool:
        """Whether a card is one of the node's GPUs. One that was is still one when its memory cannot be read."""
        if name in self._counted:
            return True
        total = _number(memory)
        return memory.exists() if total is None or not 0 < total <= MAX_MEMORY else total >= LEAST_MEMORY

    @staticmethod
    def _gpu(index: int, device: Path) -> Gpu:
        total = total_of(_number(device / "mem_info_vram_total") or 0)
        busy = _number(device / "gpu_busy_percent")
        sensors = next(iter(sorted(device.glob("hwmon/hwmon*"))), device)
        # The edge's temperature, or where the GPU has no such sensor (Instinct) the junction's.
        millidegrees = _first_number(sensors / "temp1_input", sensors / "temp2_input")
        microwatts = _first_number(sensors / "power1_average", sensors / "power1_input")
        values = {
            "uuid": _text(device / "unique_id"),
            "utilization": None if busy is None else busy / 100,
            "memory_used_bytes": _number(device / "mem_info_vram_used"),
            "temperature_celsius": None if millidegrees is None else millidegrees / 1000,
            "power_watts": None if microwatts is None else microwatts / 1_000_000,
        }
        name = clean_text(_text(device / "product_name")) or "AMD GPU"
        return Gpu(index, name, total, reading_of(index, total, values))

    @staticmethod
    def _health(device: Path) -> dict[str, Any]:
        health: dict[str, Any] = {}
        sensors = next(iter(sorted(device.glob("hwmon/hwmon*"))), device)
        fan, fastest = _number(sensors / "pwm1"), _number(sensors / "pwm1_max") or 255
        if fan is not None and 0 <= fan <= fastest:
            health["fan"] = fan / fastest
        widths = [_number(device / "current_link_width"), _number(device / "max_link_width")]
        # The kernel writes 255 where it does not know.
        width, widest = (each if each in WIDTHS else None for each in widths)
        if width and widest:
            health["pcie_degraded"] = width < widest
        return health


def _text(path: Path) -> str:
    try:
        # A pipe that nobody writes to is not waited for.
        descriptor = os.open(str(path), os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            return file.read(MAX_FILE).decode().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _first_number(*paths: Path) -> int | None:
    return next((number for number in map(_number, paths) if number is not None), None)


def _number(path: Path) -> int | None:
    text = _text(path)
    try:
        return int(text) if len(text) <= MAX_DIGITS else None
    except ValueError:
        return None
