"""GPUs as NVML tells of them."""

from __future__ import annotations

import inspect
import logging
from types import SimpleNamespace

import pynvml  # type: ignore[import-untyped]  # it ships without types
import pytest

from exporter.domain.parsing import heartbeat_of
from exporter.programs.agent.gpus import Gpus, Inventory

MIB = 2**20
FUNCTIONS = (
    "nvmlInit",
    "nvmlShutdown",
    "nvmlDeviceGetCount",
    "nvmlDeviceGetHandleByIndex",
    "nvmlDeviceGetName",
    "nvmlDeviceGetUUID",
    "nvmlDeviceGetMemoryInfo",
    "nvmlDeviceGetUtilizationRates",
    "nvmlDeviceGetTemperature",
    "nvmlDeviceGetPowerUsage",
)


class FakeNvml:
    """The part of pynvml that we call, with its errors, over cards that the test describes.

    It does not test that the library is found, that a driver answers so, what a driver that hangs does, nor that
    structures are laid out as NVIDIA's are: only a node with a GPU can. A card is a dict; where it lacks a key the call
    is not supported, and a card that is GPU_IS_LOST has no handle.
    """

    NVMLError = pynvml.NVMLError
    NVML_TEMPERATURE_GPU = pynvml.NVML_TEMPERATURE_GPU

    def __init__(self, *cards):
        self.cards = list(cards)
        self.driver_error = None
        self.open = 0

    def nvmlInit(self):  # noqa: N802 - NVML names it
        self._check()
        self.open += 1

    def nvmlShutdown(self):  # noqa: N802 - NVML names it
        self.open -= 1

    def nvmlDeviceGetCount(self):  # noqa: N802 - NVML names it
        self._check()
        assert self.open == 1
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802 - NVML names it
        return self._of({"card": self.cards[index]}, "card")

    def nvmlDeviceGetName(self, handle):  # noqa: N802 - NVML names it
        return self._of(handle, "name")

    def nvmlDeviceGetUUID(self, handle):  # noqa: N802 - NVML names it
        return self._of(handle, "uuid")

    def nvmlDeviceGetMemoryInfo(self, handle):  # noqa: N802 - NVML names it
        total, used = self._of(handle, "memory")
        return SimpleNamespace(total=total, used=used, free=total - used)

    def nvmlDeviceGetUtilizationRates(self, handle):  # noqa: N802 - NVML names it
        return SimpleNamespace(gpu=self._of(handle, "utilization"), memory=0)

    def nvmlDeviceGetTemperature(self, handle, sensor):  # noqa: N802 - NVML names it
        assert sensor == pynvml.NVML_TEMPERATURE_GPU
        return self._of(handle, "temperature")

    def nvmlDeviceGetPowerUsage(self, handle):  # noqa: N802 - NVML names it
        return self._of(handle, "milliwatts")

    def _check(self):
        if self.driver_error is not None:
            raise pynvml.NVMLError(self.driver_error)

    @staticmethod
    def _of(handle, key):
        value = handle.get(key, pynvml.NVML_ERROR_NOT_SUPPORTED)
        if key not in handle or value == pynvml.NVML_ERROR_GPU_IS_LOST:
            raise pynvml.NVMLError(value)
        return value


def card(uuid="GPU-5c3e", **changes):
    return {
        "name": "NVIDIA GeForce RTX 4090",
        "uuid": uuid,
        "memory": (24_564 * MIB, 20_480 * MIB),
        "utilization": 93,
        "temperature": 71,
        "milliwatts": 390_500,
        **changes,
    }


def test_the_fake_has_the_shape_of_the_real_module():
    """Every function that we call exists there, and takes what we give it."""
    for name in FUNCTIONS:
        real = inspect.signature(getattr(pynvml, name)).parameters.values()
        fake = list(inspect.signature(getattr(FakeNvml(), name)).parameters)
        assert [parameter.name for parameter in real if parameter.default is parameter.empty] == fake


def test_readings_are_what_a_heartbeat_carries():
    """In the registry's units: a share of one, bytes, degrees, watts."""
    readings = Gpus(FakeNvml(card())).readings()
    assert readings == [
        {
            "index": 0,
            "uuid": "GPU-5c3e",
            "utilization": 0.93,
            "memory_used_bytes": 20_480 * MIB,
            "temperature_celsius": 71,
            "power_watts": 390.5,
        }
    ]
    assert heartbeat_of({"gpus": readings}).gpus is not None


def test_the_inventory_adds_the_cards_up():
    gpus = Gpus(FakeNvml(card("a"), card("b"), card("c", name="NVIDIA A100-SXM4-80GB")))
    assert gpus.inventory() == Inventory(3, "RTX 4090, A100-SXM4-80GB", 3 * 24_564 * MIB)


def test_a_gpu_that_fell_off_is_missing_and_the_others_are_read():
    """Its number stays its own."""
    gpus = Gpus(FakeNvml(pynvml.NVML_ERROR_GPU_IS_LOST, card("b")))
    assert [reading["index"] for reading in gpus.readings()] == [1]


def test_what_a_gpu_cannot_tell_is_left_out():
    """A MIG device has no utilization, a passively cooled laptop no power reading."""
    silent = {"name": "NVIDIA T600", "uuid": "GPU-1"}
    assert Gpus(FakeNvml(silent)).readings() == [{"index": 0, "uuid": "GPU-1"}]
    assert Gpus(FakeNvml(silent)).inventory() == Inventory(1, "T600", 0)


def test_no_driver_is_no_gpu_and_is_said_once(caplog):
    caplog.set_level(logging.INFO)
    nvml = FakeNvml(card())
    nvml.driver_error = pynvml.NVML_ERROR_LIBRARY_NOT_FOUND
    gpus = Gpus(nvml)
    assert (gpus.inventory(), gpus.readings(), gpus.readings()) == (Inventory(), [], [])
    assert [record.getMessage() for record in caplog.records] == ["no NVIDIA GPU can be read"]


def test_a_driver_that_comes_later_or_is_exchanged_is_found(caplog):
    """It is begun anew each time, and never twice."""
    caplog.set_level(logging.INFO)
    nvml = FakeNvml(card())
    gpus = Gpus(nvml)
    assert len(gpus.readings()) == 1
    nvml.driver_error = pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH
    assert (gpus.readings(), nvml.open) == ([], 0)
    nvml.driver_error = None
    assert (len(gpus.readings()), nvml.open) == (1, 1)
    assert caplog.records[-1].getMessage() == "the GPUs can be read again"
    gpus.close()
    assert nvml.open == 0


@pytest.mark.parametrize("percent", [0, 100, 101])
def test_utilization_is_a_share(percent):
    """Drivers were seen to say 101."""
    [reading] = Gpus(FakeNvml(card(utilization=percent))).readings()
    assert 0 <= reading["utilization"] <= 1
