"""Every call of a driver with every error, and values that nobody has: what is seen of two GPUs, and what is sent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.agent.conftest import look
from tests.support.server_process import until

CODES = (*range(1, 31), 77, 999)
UNREACHABLE = {8, 9, 11, 12, 13, 18}
NOT_LOOKED = {4, 10, 17, 20, 999}
LOST = {15, 16}
QUERIES = (
    *("nvmlDeviceGetName", "nvmlDeviceGetUUID", "nvmlDeviceGetMemoryInfo", "nvmlDeviceGetUtilizationRates"),
    *("nvmlDeviceGetTemperature", "nvmlDeviceGetPowerUsage"),
)
HEALTH = (
    *("nvmlDeviceGetTotalEccErrors", "nvmlDeviceGetCurrentClocksThrottleReasons", "nvmlDeviceGetCurrPcieLinkWidth"),
    *("nvmlDeviceGetMaxPcieLinkWidth", "nvmlDeviceGetPerformanceState", "nvmlDeviceGetCurrPcieLinkGeneration"),
    *("nvmlDeviceGetClockInfo", "nvmlDeviceGetFieldValues", "nvmlDeviceGetRemappedRows", "nvmlDeviceGetFanSpeed"),
    *("nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetMigMode", "nvmlDeviceGetComputeRunningProcesses_v3"),
    *("nvmlEventSetCreate", "nvmlDeviceRegisterEvents", "nvmlEventSetWait_v2", "nvmlEventSetFree"),
)


def seen(driver: Any, *lines: str, health: bool = False) -> list[list[Any]]:
    """What each of these answers makes of two GPUs: sight, number, and who is observed; all of one process."""
    script = f"""
from pathlib import Path
answers, seen = Path({str(driver.answers)!r}), []
for line in {list(lines)!r}:
    answers.write_text("count 2\\n" + line + "\\n")
    look = nvml.look()
    if {health} and look.sight.value == "seen":
        assert set(nvml.health()) == {{0, 1}}
        look = nvml.look()
    seen.append([look.sight.value, look.number, [reading["index"] for reading in look.readings]])
    answers.write_text("count 2\\n")
    if not {health}:
        nvml.close()
look = nvml.look()
assert [look.number, len(look.readings)] == [2, 2]
look = look._replace(reason=json.dumps(seen))
"""
    seen: list[list[Any]] = json.loads(look(driver, script)[4])
    return seen


@pytest.mark.parametrize("function", ["nvmlInitWithFlags", "nvmlDeviceGetCount_v2"])
def test_who_cannot_be_asked_is_not_looked_at(driver, function):
    """Unless the error says that nobody can use any GPU."""
    expected: list[list[Any]] = [["broken" if code in UNREACHABLE else "unsure", 0, []] for code in CODES]
    assert seen(driver, *(f"{function} {code}" for code in CODES)) == expected


def test_no_handle_is_a_lost_gpu(driver):
    """Unless the error says nothing of the GPU."""
    lines = [f"nvmlDeviceGetHandleByIndex_v2.1 {code}" for code in CODES]
    assert seen(driver, *lines) == [["seen", 2, [0, 1] if code in NOT_LOOKED else [0]] for code in CODES]


@pytest.mark.parametrize("function", QUERIES)
def test_a_question_without_an_answer_is_no_lost_gpu(driver, function):
    """Unless the error says so."""
    lines = [f"{function}.1 {code}" for code in CODES]
    assert seen(driver, *lines) == [["seen", 2, [0] if code in LOST else [0, 1]] for code in CODES]


@pytest.mark.parametrize("function", HEALTH)
def test_no_error_of_its_health_costs_a_gpu(driver, function):
    assert seen(driver, *(f"{function} {code}" for code in CODES), health=True) == [["seen", 2, [0, 1]]] * len(CODES)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("count 0", ["seen", 0, []]),
        ("count 64", ["seen", 64, list(range(64))]),
        ("count 257", ["unsure", 0, []]),
        ("count 2147483648", ["unsure", 0, []]),
        ("count -1", ["unsure", 0, []]),
    ],
)
def test_a_count_that_cannot_be_is_none(driver, line, expected):
    script = f"""
from pathlib import Path
Path({str(driver.answers)!r}).write_text({line!r} + "\\n")
look = nvml.look()
"""
    sight, number, readings, *_ = look(driver, script)
    assert [sight, number, [reading["index"] for reading in readings]] == expected


@pytest.mark.parametrize("total", [0, 1, 2**26 - 1, 2**51, 2**64 - 1])
def test_a_total_that_cannot_be_is_unknown(driver, total):
    """A gigabyte or two of nothing would be a statement."""
    driver.answer(memory_total=total)
    sight, number, _, inventory, _ = look(driver)
    assert (sight, number, inventory) == ("seen", 1, [1, "RTX 4090", 0, False])


@pytest.mark.parametrize("length", [1_000_001, 2**31, 2**32 - 1])
def test_a_list_is_as_long_as_the_driver_says_and_is_not_fetched(driver, length):
    """Of gigabytes of processes or pages, only that there cannot be so many is noted."""
    driver.answer(processes=length, retired_pages=length, nvmlDeviceGetRemappedRows=3)
    script = """
look = nvml.look()
health = nvml.health()[0]
assert not {"processes", "retired_pages"} & set(health), health
[peak] = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
assert int(peak.split()[1]) < 60_000
"""
    assert look(driver, script)[:2] == ["seen", 1]


@pytest.mark.parametrize("function", [*QUERIES, *HEALTH])
def test_an_old_driver_lacks_functions(driver, function):
    driver.install(without=[function])
    script = "look = nvml.look(); health = nvml.health(); assert set(health) == {0}; nvml.close(); look = nvml.look()"
    assert look(driver, script)[:2] == ["seen", 1]


@pytest.mark.parametrize(
    ("needs", "sight"), [("", "absent"), ("libaurora-none.so.1", "broken")], ids=["no library", "what it needs"]
)
def test_a_driver_that_lacks_a_library_is_there(driver, needs, sight):
    """And one that is not installed is not."""
    driver.remove()
    if needs:
        driver.install_needing(needs)
    assert look(driver)[0] == sight


SAMPLES: list[tuple[dict[str, object], int]] = [
    # What the driver answers, and how many of the two GPUs are observed then.
    ({"nvmlDeviceGetHandleByIndex_v2__0": 15}, 1),
    ({"nvmlDeviceGetHandleByIndex_v2__0": 2}, 1),
    ({"nvmlDeviceGetHandleByIndex_v2__0": 4}, 2),
    ({"nvmlDeviceGetHandleByIndex_v2": 15}, 0),
    ({"all__0": 16}, 1),
    ({"nvmlDeviceGetTemperature__1": 6}, 2),
    ({"nvmlDeviceGetUUID": 3, "nvmlDeviceGetName": 3}, 2),
    ({"nvmlDeviceGetUUID__1": 16}, 1),
    ({"count": 0}, 0),
    ({"count": 1}, 1),
    ({"count": -1}, 2),
    ({"count": 300}, 2),
    ({"uuid": b"GPU-same"}, 2),
    ({"uuid": b"\xff" * 90, "name": b"\xff" * 90}, 2),
    ({"uuid": b"\xe2\x80\xae", "name": b"\xed\xa0\x80"}, 2),
    ({"memory_total": 0}, 2),
    ({"memory_total": 1, "memory_used": 2**64 - 1}, 2),
    ({"temperature": 4294967295, "milliwatts": 4294967295, "utilization": 101, "fan": 4294967295}, 2),
    ({"temperature": 32767, "milliwatts": 65535000, "utilization": 4294967295, "clock": 4294967295}, 2),
    ({"ecc_uncorrected": 2**64 - 1, "millijoules": 2**64 - 1, "throttle": 2**64 - 1}, 2),
    ({"remapped_uncorrected": 2**32 - 1, "remapped_failed": 2**32 - 1, "processes": 2**32 - 1}, 2),
    ({"pcie_width": 2**32 - 1, "pcie_generation": 2**32 - 1, "performance_state": 2**32 - 1, "mig": 2**32 - 1}, 2),
    ({"recovery_action": 2**32 - 1, "retired_pages": 2**32 - 1, "nvmlDeviceGetRemappedRows": 3}, 2),
    ({"xid_number": 10_000, "xid_gpu": 1, "xid": 2**64 - 1}, 2),
    ({"xid_number": 10_000, "xid_gpu": 1, "xid": 13}, 2),
    ({"nvmlEventSetCreate": 3}, 2),
    ({"nvmlEventSetWait_v2": 15}, 2),
    ({"nvmlDeviceRegisterEvents": 3}, 2),
    ({"all": 999}, 2),
    ({"all": 1}, 2),
    ({"all": 9}, 0),
    ({"all": 18}, 0),
    ({"all": 30}, 2),
    ({"kernel": 560}, 0),
]
FAMILIES = {
    "aurora_node_gpu_utilization_ratio": 1,
    "aurora_node_gpu_memory_used_bytes": 2**40,
    "aurora_node_gpu_temperature_celsius": 150,
    "aurora_node_gpu_power_watts": 10_000,
}


@pytest.mark.servers
def test_each_sample_is_shown_right_by_a_registry(node):
    """One after the other, to one agent: what there is stands, each heartbeat counts, nothing beyond physics shows."""
    node.driver.answer(count=2)
    node.start()
    until(lambda: (node.registered, node.observed), (2, 2))
    for answers, observed in SAMPLES:
        node.driver.answer_again(**{"count": 2, **answers})
        until(lambda: (node.registered, node.observed), (2, observed))
        node.beats()
        assert (node.registered, node.observed, node.document["status"]) == (2, observed, "active"), answers
        assert node.process.poll() is None, answers
        for line in node.mesh.get("/metrics").text.splitlines():
            name, _, value = line.rpartition(" ")
            if name.partition("{")[0] in FAMILIES:
                assert 0 <= float(value) <= FAMILIES[name.partition("{")[0]], (answers, line)
        node.driver.answer_again(count=2)
        until(lambda: (node.registered, node.observed), (2, 2))
    rejected = [line for line in node.mesh.get("/metrics").text.splitlines() if "readings_rejected_total{" in line]
    assert {line.rpartition(" ")[2] for line in rejected} <= {"0.0", "0"}
    assert "Traceback" not in node.log()
