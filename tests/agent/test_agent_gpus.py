"""GPUs through the driver's library that pynvml really loads: what each of its moods looks like to us."""

from __future__ import annotations

import json

import pynvml  # type: ignore[import-untyped]  # it ships without types
import pytest

from exporter.agent.gpus import Gpu, Look, Sight, joined, reading_of
from exporter.domain.heartbeat import Heartbeat
from exporter.domain.parsing import parse_heartbeat
from tests.agent.conftest import look

MIB = 2**20
READING = {
    "index": 0,
    "uuid": "GPU-0",
    "utilization": 0.93,
    "memory_used_bytes": 20_480 * MIB,
    "temperature_celsius": 71,
    "power_watts": 390.5,
}
ERRORS = sorted(
    value for name, value in vars(pynvml).items() if name.startswith("NVML_ERROR_") and isinstance(value, int)
)


def test_a_gpu_that_works(driver):
    """In the registry's units: a share of one, bytes, degrees, watts."""
    assert look(driver) == ["seen", 1, [READING], [1, "RTX 4090", 24_564 * MIB, False], ""]


@pytest.mark.parametrize(
    ("answers", "field", "left"),
    [
        ({"uuid": b"\xf8\xb1\xc2\xd3"}, "uuid", None),
        ({"uuid": b"GPU-\x01"}, "uuid", None),
        ({"uuid": b""}, "uuid", None),
        ({"memory_used": 2**64 - 1}, "memory_used_bytes", None),
        ({"memory_used": 25_000 * MIB}, "memory_used_bytes", None),
        ({"nvmlDeviceGetMemoryInfo": 3}, "memory_used_bytes", None),
        ({"temperature": 4294967040}, "temperature_celsius", None),
        ({"temperature": 255}, "temperature_celsius", None),
        ({"milliwatts": 4294967295}, "power_watts", None),
        ({"utilization": 808334905}, "utilization", None),
        ({"utilization": 101}, "utilization", None),
        ({"utilization": 100}, "utilization", 1.0),
        ({"nvmlDeviceGetUtilizationRates": 3}, "utilization", None),
        ({"nvmlDeviceGetPowerUsage": 4}, "power_watts", None),
        ({"nvmlDeviceGetTemperature": 999}, "temperature_celsius", None),
    ],
)
def test_what_cannot_be_is_left_out(driver, answers, field, left):
    """And costs nothing else of the reading."""
    driver.answer(**answers)
    [reading] = look(driver)[2]
    assert reading.pop(field, None) == left
    assert reading == {key: value for key, value in READING.items() if key != field}


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"\xf8\xb1\xc2\xd3", ""),
        (b"NVIDIA\x01\x02\x03\x04", "NVIDIA"),
        (b"\x01\x02", ""),
        (b"NVIDIA A100-SXM4-80GB", "A100-SXM4-80GB"),
        (b"NVIDIA GeForce", "GeForce"),
        ("RTX\u202e4090".encode(), "RTX4090"),
    ],
)
def test_a_name_is_cleaned_or_left_out(driver, name, shown):
    driver.answer(name=name)
    assert look(driver)[3][1] == shown


@pytest.mark.parametrize(
    ("answers", "seen", "observed"),
    [
        ({"nvmlDeviceGetHandleByIndex_v2__1": 15}, 2, [0]),
        ({"nvmlDeviceGetHandleByIndex_v2__1": 6}, 2, [0]),
        ({"nvmlDeviceGetHandleByIndex_v2__1": 999}, 2, [0, 1]),
        ({"all__1": 15}, 2, [0]),
        ({"all__1": 16}, 2, [0]),
        ({"nvmlDeviceGetTemperature__1": 15}, 2, [0]),
        ({"all__1": 3, "nvmlDeviceGetHandleByIndex_v2__1": 0}, 2, [0, 1]),
        ({"all__1": 999, "nvmlDeviceGetHandleByIndex_v2__1": 0}, 2, [0, 1]),
        ({"count": 16}, 16, list(range(16))),
    ],
)
def test_a_lost_gpu_is_not_observed_and_one_without_readings_is(driver, answers, seen, observed):
    """Lost: no handle, GPU_IS_LOST, reset required. A Jetson, or MIG, has no readings and is there."""
    driver.answer(**{"count": 2, **answers})
    sight, number, readings, _, _ = look(driver)
    assert (sight, number, [reading["index"] for reading in readings]) == ("seen", seen, observed)


@pytest.mark.parametrize(
    "function", ["nvmlInitWithFlags", "nvmlDeviceGetCount_v2", "nvmlDeviceGetHandleByIndex_v2", "all", "nvmlShutdown"]
)
def test_any_error_anywhere_is_survived(driver, function):
    """Whatever a function returns, there is a look, and the next one is sound."""
    script = f"""
from pathlib import Path
answers = Path({str(driver.answers)!r})
for error in {[*ERRORS, 77]}:
    answers.write_text(f"{function} {{error}}\\n")
    assert nvml.look().sight.value in ("seen", "broken", "unsure")
    nvml.close()
answers.write_text("")
look = nvml.look()
"""
    assert look(driver, script)[:3] == ["seen", 1, [READING]]


@pytest.mark.parametrize(
    ("answers", "sight"),
    [
        ({"nvmlInitWithFlags": 18}, "broken"),
        ({"nvmlInitWithFlags": 9}, "broken"),
        ({"nvmlInitWithFlags": 999}, "unsure"),
        ({"nvmlDeviceGetCount_v2": 999}, "unsure"),
        ({"nvmlDeviceGetHandleByIndex_v2": 10}, "unsure"),
        ({"all": 999}, "unsure"),
        ({"count": 0}, "seen"),
    ],
)
def test_not_looked_is_not_found_none(driver, answers, sight):
    driver.answer(**answers)
    assert look(driver)[0] == sight


def test_no_library_is_no_driver(driver):
    driver.remove()
    assert look(driver)[:3] == ["absent", 0, []]


def test_a_library_that_is_none_is_a_broken_driver(driver):
    (driver.directory / "libnvidia-ml.so.1").write_bytes(b"no library")
    assert look(driver)[0] == "broken"


def test_a_driver_that_was_exchanged_is_found(driver):
    """Pynvml would keep the library that was first loaded, and get a mismatch forever."""
    script = f"""
from pathlib import Path
assert nvml.look().sight.value == "seen"
Path({str(driver.answers)!r}).write_text("kernel 560\\n")
assert nvml.look().sight.value == "broken"
import subprocess
library = Path({str(driver.directory / "libnvidia-ml.so.1")!r})
Path({str(driver.directory / "next")!r}).rename(library)
look = nvml.look()
"""
    driver.install(560)
    (driver.directory / "libnvidia-ml.so.1").rename(driver.directory / "next")
    driver.install(550)
    assert look(driver, script)[:2] == ["seen", 1]


def test_the_library_is_let_go(driver):
    """So that a GPU may sleep, and a driver be exchanged; the next look loads it again."""
    script = """
nvml.look()
maps = lambda: "libnvidia-ml" in open("/proc/self/maps").read()
assert maps()
nvml.close()
assert not maps()
nvml.close()
look = nvml.look()
"""
    assert look(driver, script)[:2] == ["seen", 1]


def test_readings_beyond_physics_are_dropped_wherever_they_come_from():
    """NaN, texts and truths are no numbers."""
    values = {"utilization": float("nan"), "temperature_celsius": "61", "power_watts": -1, "uuid": 5}
    assert reading_of(3, 0, values) == {"index": 3}


def test_two_drivers_number_on():
    """Each GPU once; a driver that cannot be asked makes the whole unsure, one that is absent nothing."""
    nvidia = Look(Sight.SEEN, 2, (Gpu(0, "A", 1, {"index": 0}), Gpu(1, "A", 1, {"index": 1})))
    amd = Look(Sight.SEEN, 1, (Gpu(0, "B", 0, {"index": 0, "uuid": "x"}),))
    both = joined([nvidia, Look(Sight.ABSENT), amd])
    assert (both.number, [gpu.position for gpu in both.gpus]) == (3, [0, 1, 2])
    assert both.readings == [{"index": 0}, {"index": 1}, {"index": 2, "uuid": "x"}]
    unsure = joined([nvidia, Look(Sight.UNSURE, reason="x")])
    assert (unsure.sight, unsure.reason, unsure.readings) == (Sight.UNSURE, "x", nvidia.readings)
    assert joined([Look(Sight.BROKEN), Look(Sight.BROKEN)]).sight is Sight.UNSURE
    assert joined([Look(Sight.ABSENT), nvidia]) == nvidia
    assert joined([]).sight is Sight.ABSENT


@pytest.mark.parametrize(("error", "sight"), [(9, "seen"), (18, "seen"), (999, "unsure")])
def test_a_driver_that_fails_takes_no_other_drivers_gpus_away(driver, tmp_path, error, sight):
    """AMD's readings go on, under the numbers that they had."""
    device = tmp_path / "drm/card1/device"
    device.mkdir(parents=True)
    for name, content in (("vendor", "0x1002"), ("mem_info_vram_total", 2**34), ("unique_id", "e4a5")):
        (device / name).write_text(f"{content}\n")
    script = f"""
from pathlib import Path
from exporter.agent.amd import Amd
from exporter.agent.drivers import Drivers
drivers = Drivers()
drivers._amd = Amd(Path({str(tmp_path / "drm")!r}))
assert [reading["uuid"] for reading in drivers.look().readings] == ["GPU-0", "GPU-1", "e4a5"]
drivers.close()
Path({str(driver.answers)!r}).write_text("nvmlInitWithFlags {error}")
look = drivers.look()
assert list(drivers.health()) == [2]
"""
    driver.answer(count=2)
    shown, number, readings, _, reason = look(driver, script)
    assert (shown, number, readings, bool(reason)) == (sight, 3, [{"index": 2, "uuid": "e4a5"}], True)


HEALTH = {
    "ecc_uncorrected_errors": 0,
    "throttled": [],
    "pcie_degraded": False,
    "sm_clock_hertz": 2_520_000_000,
    "memory_clock_hertz": 2_520_000_000,
    "recovery_needed": False,
    "remapped_rows": 0,
    "remap_pending": False,
    "remap_failed": False,
    "fan": 0.4,
    "energy_joules": 5000.0,
    "mig_enabled": False,
    "processes": 0,
    "xid_errors": {},
}


@pytest.mark.parametrize(
    ("answers", "changes"),
    [
        ({}, {}),
        ({"ecc_uncorrected": 3}, {"ecc_uncorrected_errors": 3}),
        ({"ecc_uncorrected": 2**64 - 1}, {"ecc_uncorrected_errors": None}),
        ({"nvmlDeviceGetTotalEccErrors": 3}, {"ecc_uncorrected_errors": None}),
        ({"throttle": 0x01 | 0x02}, {}),
        ({"throttle": 0x04 | 0x40}, {"throttled": ["sw_power_cap", "hw_thermal"]}),
        ({"throttle": 0x08 | 0x20 | 0x80}, {"throttled": ["sw_thermal", "hw_slowdown", "hw_power_brake"]}),
        ({"pcie_width": 8}, {"pcie_degraded": True}),
        ({"pcie_generation": 1}, {"pcie_degraded": True}),
        ({"pcie_generation": 1, "performance_state": 8}, {}),
        ({"pcie_width": 0}, {"pcie_degraded": None}),
        ({"remapped_uncorrected": 2, "remapped_pending": 1}, {"remapped_rows": 2, "remap_pending": True}),
        ({"remapped_failed": 1}, {"remap_failed": True}),
        (
            {"nvmlDeviceGetRemappedRows": 3, "retired_pages": 4},
            {"remapped_rows": None, "remap_pending": None, "remap_failed": None, "retired_pages": 8},
        ),
        ({"recovery_action": 1}, {"recovery_needed": True}),
        ({"nvmlDeviceGetFieldValues": 3}, {"recovery_needed": None}),
        ({"fan": 4294967295}, {"fan": None}),
        ({"ecc_uncorrected": 2**32 - 1}, {"ecc_uncorrected_errors": None}),
        ({"throttle": 2**64 - 1}, {"throttled": None}),
        ({"ecc_uncorrected": 2**32 - 2}, {"ecc_uncorrected_errors": None}),
        ({"recovery_action": 2**32 - 1}, {"recovery_needed": None}),
        ({"recovery_action": 255}, {"recovery_needed": None}),
        ({"throttle": 0xFFFF}, {"throttled": None}),
        ({"mig": 2**32 - 1}, {"mig_enabled": None}),
        ({"pcie_width_max": 2**32 - 1}, {"pcie_degraded": None}),
        ({"pcie_generation_max": 2**32 - 1}, {}),
        ({"remapped_uncorrected": 2**32 - 1}, {"remapped_rows": None}),
        (
            {"remapped_pending": 2**32 - 1, "remapped_failed": 2**32 - 1},
            {"remap_pending": None, "remap_failed": None},
        ),
        ({"clock": 4294967295}, {"sm_clock_hertz": None, "memory_clock_hertz": None}),
        ({"mig": 1, "processes": 5}, {"mig_enabled": True, "processes": 5}),
        ({"all": 3, "nvmlDeviceGetHandleByIndex_v2": 0}, dict.fromkeys(HEALTH)),
    ],
)
def test_how_a_gpu_is(driver, answers, changes):
    """What it does not know, or what cannot be, is left out."""
    extra = {"nvmlInitWithFlags": 0, "nvmlDeviceGetCount_v2": 0, "nvmlEventSetCreate": 0} if "all" in answers else {}
    driver.answer(**answers, **extra)
    script = "look = nvml.look(); health = nvml.health(); look = look._replace(reason=json.dumps(health))"
    reported = json.loads(look(driver, script)[4])
    assert reported["0"].pop("uuid") == ("" if "all" in answers else "GPU-0")
    assert reported == {"0": {key: value for key, value in (HEALTH | changes).items() if value is not None}}
    assert type(parse_heartbeat(json.dumps({"gpus": [{"index": 0, "health": reported["0"]}]}).encode())) is Heartbeat


def test_xid_errors_are_counted_by_code(driver):
    """As the driver reports them, also while the GPU falls off; the library is let go all the same."""
    driver.answer(count=2)
    script = f"""
import time
from pathlib import Path
answers = Path({str(driver.answers)!r})
look = nvml.look()
assert nvml.health()[1]["xid_errors"] == {{}}
for number, code in ((1, 79), (2, 79), (3, 13)):
    answers.write_text(f"count 2\\nxid_gpu 1\\nxid {{code}}\\nxid_number {{number}}\\n")
    while sum(nvml.health()[1]["xid_errors"].values()) < number:
        time.sleep(0.01)
look = nvml.look()._replace(reason=json.dumps(nvml.health()[1]["xid_errors"]))
nvml.close()
assert "libnvidia-ml" not in open("/proc/self/maps").read()
"""
    assert json.loads(look(driver, script)[4]) == {"79": 2, "13": 1}


XIDS = """
import time
from pathlib import Path
def answer(number, gpu, *lines):
    text = [f"xid_gpu {{gpu}}", "xid 79", f"xid_number {{number}}", *lines]
    Path({answers!r}).write_text("\\n".join(text) + "\\n")
def errors():
    look = nvml.look()
    return {{health["uuid"]: health.get("xid_errors") for health in nvml.health().values()}}
def until(expected):
    for _ in range(1000):
        if errors() == expected:
            return
        time.sleep(0.01)
    raise AssertionError(errors())
"""


def test_xid_errors_stay_with_their_gpu(driver):
    """One falls off, and the next one gets its index; it is back behind that one."""
    driver.answer(count=2, uuid__0=b"A", uuid__1=b"B")
    script = """
until({"A": {}, "B": {}})
answer(1, 0, "count 2", "uuid.0 41", "uuid.1 42")
until({"A": {"79": 1}, "B": {}})
answer(1, 0, "nvmlDeviceGetCount_v2 999")
nvml.look()
answer(1, 0, "count 1", "uuid.0 42")
until({"B": {}, "A": {"79": 1}})
assert {index: health["uuid"] for index, health in nvml.health().items()} == {0: "B", 1: "A"}
answer(1, 0, "count 2", "uuid.0 42", "uuid.1 41")
until({"B": {}, "A": {"79": 1}})
answer(2, 0, "count 2", "uuid.0 42", "uuid.1 41")
until({"B": {"79": 1}, "A": {"79": 1}})
look = nvml.look()
"""
    readings = look(driver, XIDS.format(answers=str(driver.answers)) + script)[2]
    assert [reading["uuid"] for reading in readings] == ["B", "A"]


@pytest.mark.parametrize("handle", [15, 0])
def test_xid_errors_of_a_gpu_that_comes_later_are_counted(driver, handle):
    """It was lost when we started, with its handle or without."""
    driver.answer(count=2, all__1=15, nvmlDeviceGetHandleByIndex_v2__1=handle)
    script = """
until({"GPU-0": {}, "": None})
answer(0, 1, "count 2")
until({"GPU-0": {}, "GPU-1": {}})
answer(1, 1, "count 2")
until({"GPU-0": {}, "GPU-1": {"79": 1}})
look = nvml.look()
"""
    assert look(driver, XIDS.format(answers=str(driver.answers)) + script)[:2] == ["seen", 2]


def test_a_driver_is_let_go_when_a_slow_wait_ended(driver):
    """A wait for events that takes longer than we wait for it keeps the old library for no longer than that."""
    driver.answer(delay_ms__nvmlEventSetWait_v2=4_000)
    script = f"""
import time
from pathlib import Path
look = nvml.look(); nvml.health(); nvml.close()
Path({str(driver.answers)!r}).write_text("")
time.sleep(2)
nvml.look(); nvml.close()
assert "libnvidia-ml" not in open("/proc/self/maps").read()
"""
    assert look(driver, script)[:2] == ["seen", 1]


def test_a_driver_that_does_not_wait_keeps_no_processor_busy(driver):
    """Its events time out at once; nobody asks again at once."""
    driver.answer(hasty=1)
    script = """
import time
look = nvml.look(); nvml.health()
began = time.process_time()
time.sleep(0.5)
look = look._replace(reason=str(time.process_time() - began))
"""
    assert float(look(driver, script)[4]) < 0.25
