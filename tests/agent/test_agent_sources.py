"""GPUs of any vendor: by another exporter on the node, and AMD's by sysfs."""

from __future__ import annotations

import json
import math
import os
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.agent.amd import Amd
from exporter.agent.exits import UsageError
from exporter.agent.exporters import ExporterSource, read, samples_of
from exporter.agent.gpus import Sight
from exporter.domain.heartbeat import Heartbeat
from exporter.domain.parsing import parse_heartbeat
from tests.support.http_stub import HttpStub, Response
from tests.support.server_process import until

MIB = 2**20
DCGM = """\
# HELP DCGM_FI_DEV_GPU_UTIL GPU utilization (in %).
# TYPE DCGM_FI_DEV_GPU_UTIL gauge
DCGM_FI_DEV_GPU_UTIL{gpu="1", UUID="GPU-b",device="nvidia1",modelName="NVIDIA L40S",Hostname="n"} 7
DCGM_FI_DEV_GPU_UTIL{gpu="0",UUID="GPU-a",device="nvidia0",modelName="NVIDIA L40S",Hostname="n"} 93
DCGM_FI_DEV_GPU_UTIL{gpu="0",UUID="GPU-a",GPU_I_ID="3",GPU_I_PROFILE="1g.5gb",modelName="NVIDIA L40S"} 50
DCGM_FI_DEV_FB_USED{gpu="0",UUID="GPU-a",modelName="NVIDIA L40S",pod="a}b \\" c"} 40000
DCGM_FI_DEV_FB_FREE{gpu="0",UUID="GPU-a",modelName="NVIDIA L40S"} 5000
DCGM_FI_DEV_FB_USED{gpu="1",UUID="GPU-b",modelName="NVIDIA L40S"} 9223372036854775794
DCGM_FI_DEV_GPU_TEMP{gpu="0",UUID="GPU-a",modelName="NVIDIA L40S"} 61
DCGM_FI_DEV_POWER_USAGE{gpu="0",UUID="GPU-a",modelName="NVIDIA L40S"} 122.855
DCGM_FI_DEV_SM_CLOCK{gpu="0",UUID="GPU-a",modelName="NVIDIA L40S"} 2520
DCGM_FI_DEV_XID_ERRORS{gpu="0",UUID="GPU-a",modelName="NVIDIA L40S",err_code="79"} 79
DCGM_FI_DEV_XID_ERRORS{gpu="1",UUID="GPU-b",modelName="NVIDIA L40S"} 0
"""
MIG = """\
DCGM_FI_DEV_GPU_UTIL{gpu="0",UUID="GPU-a",GPU_I_ID="3",GPU_I_PROFILE="1g.5gb",modelName="NVIDIA A100"} 50
DCGM_FI_DEV_FB_USED{gpu="0",UUID="GPU-a",GPU_I_ID="3",GPU_I_PROFILE="1g.5gb",modelName="NVIDIA A100"} 4000
DCGM_FI_DEV_FB_USED{gpu="0",UUID="GPU-a",GPU_I_ID="4",GPU_I_PROFILE="1g.5gb",modelName="NVIDIA A100"} 4000
DCGM_FI_DEV_GPU_UTIL{gpu="1",UUID="GPU-b",modelName="NVIDIA A100"} 7
"""
"""The first one is divided: its parts have values, and it has none itself."""
SMI = """\
nvidia_smi_gpu_info{name="NVIDIA GeForce RTX 2080 SUPER",uuid="df6e"} 1
nvidia_smi_index{uuid="df6e"} 2
nvidia_smi_utilization_gpu_ratio{uuid="df6e"} 0.5
nvidia_smi_memory_used_bytes{uuid="df6e"} 1024
nvidia_smi_memory_total_bytes{uuid="df6e"} 8589934592
nvidia_smi_temperature_gpu{uuid="df6e"} 44
nvidia_smi_power_draw_watts{uuid="df6e"} 30.5
nvidia_smi_fan_speed_ratio{uuid="df6e"} 0.3
"""
ALL_SMI = """\
all_smi_gpu_utilization{gpu="Apple M2", instance="node", uuid="GPU-1", index="0"} 25.5
all_smi_gpu_memory_used_bytes{gpu="Apple M2", instance="node", uuid="GPU-1", index="0"} 8589934592
all_smi_gpu_memory_total_bytes{gpu="Apple M2", instance="node", uuid="GPU-1", index="0"} 34359738368
all_smi_gpu_temperature_celsius{gpu="Apple M2", instance="node", uuid="GPU-1", index="0"} 50
all_smi_gpu_power_consumption_watts{gpu="Apple M2", instance="node", uuid="GPU-1", index="0"} 12
"""
AMD = """\
gpu_gfx_activity{gpu_id="0",serial_number="69",card_model="MI300X"} 50
gpu_used_vram{gpu_id="0",serial_number="69",card_model="MI300X"} 283
gpu_total_vram{gpu_id="0",serial_number="69",card_model="MI300X"} 196592
gpu_junction_temperature{gpu_id="0",serial_number="69",card_model="MI300X"} 41
gpu_package_power{gpu_id="0",serial_number="69",card_model="MI300X"} 139
"""


@pytest.fixture
def exporter():
    """An exporter that answers what it is given; nothing makes it a 500."""
    answer = SimpleNamespace(url="", text="", status=200)

    def respond(request):
        status = answer.status if answer.text and request.path == "/metrics" else 500
        return Response(status, {"Location": "/metrics"}, answer.text.encode("latin-1"))

    with HttpStub(respond) as server:
        answer.url = server.url
        yield answer


@pytest.fixture
def source_of():
    """Opens sources, and closes them."""
    sources = []

    def do(url):
        sources.append(ExporterSource(url))
        return sources[-1]

    yield do
    for source in sources:
        source.close()


@pytest.mark.parametrize(
    ("text", "readings", "inventory"),
    [
        (
            DCGM,
            [
                {
                    "index": 0,
                    "uuid": "GPU-a",
                    "utilization": 0.93,
                    "memory_used_bytes": 40000 * MIB,
                    "temperature_celsius": 61.0,
                    "power_watts": 122.855,
                },
                {"index": 1, "uuid": "GPU-b", "utilization": 0.07},
            ],
            (2, "L40S", 0),
        ),
        (
            MIG,
            [{"index": 0, "uuid": "GPU-a"}, {"index": 1, "uuid": "GPU-b", "utilization": 0.07}],
            (2, "A100", 0),
        ),
        (
            SMI,
            [
                {
                    "index": 2,
                    "uuid": "df6e",
                    "utilization": 0.5,
                    "memory_used_bytes": 1024,
                    "temperature_celsius": 44.0,
                    "power_watts": 30.5,
                }
            ],
            (1, "RTX 2080 SUPER", 2**33),
        ),
        (
            ALL_SMI,
            [
                {
                    "index": 0,
                    "uuid": "GPU-1",
                    "utilization": 0.255,
                    "memory_used_bytes": 2**33,
                    "temperature_celsius": 50.0,
                    "power_watts": 12.0,
                }
            ],
            (1, "Apple M2", 2**35),
        ),
        (
            AMD,
            [
                {
                    "index": 0,
                    "uuid": "69",
                    "utilization": 0.5,
                    "memory_used_bytes": 283 * MIB,
                    "temperature_celsius": 41.0,
                    "power_watts": 139.0,
                }
            ],
            (1, "MI300X", 196592 * MIB),
        ),
    ],
    ids=[
        "dcgm-exporter",
        "dcgm-exporter of a divided GPU",
        "nvidia_gpu_exporter",
        "all-smi",
        "amd-device-metrics-exporter",
    ],
)
def test_an_exporters_values_are_readings(exporter, source_of, text, readings, inventory):
    """By its mapping; what it writes for "unknown", and parts of a GPU, are left out."""
    exporter.text = text
    source = source_of(exporter.url)
    look = source.look()
    assert (look.sight, [pytest.approx(reading) for reading in look.readings]) == (Sight.SEEN, readings)
    assert look.inventory[:3] == inventory
    with_health = [{**reading, "health": source.health()[reading["index"]]} for reading in look.readings]
    assert type(parse_heartbeat(json.dumps({"gpus": with_health}).encode())) is Heartbeat


@pytest.mark.parametrize(
    "number",
    ["", "N/A", "[N/A]", "n/a", "0", "Unknown", "None", "00000000-0000-0000-0000-000000000000"],
)
def test_gpus_whose_number_is_not_known_go_by_their_index(exporter, source_of, number):
    """A virtual MI300X has a serial number of none, and a UUID of zeros: two of them are two."""
    exporter.text = AMD.replace('"69"', f'"{number}"') + AMD.replace('"69"', f'"{number}"').replace(
        'gpu_id="0"', 'gpu_id="1"'
    )
    look = source_of(exporter.url).look()
    assert [(reading["index"], reading.get("uuid")) for reading in look.readings] == [(0, None), (1, None)]
    assert look.inventory[:3] == (2, "MI300X", 2 * 196592 * MIB)


def test_dcgms_latest_xid_is_sent(exporter, source_of):
    exporter.text = DCGM
    source = source_of(f"{exporter.url}/metrics")
    source.look()
    assert source.health()[0]["xid_errors"] == {"79": 1}
    assert (source.health()[1]["xid_errors"], source.health()[0]["sm_clock_hertz"]) == ({}, 2_520_000_000)


def series(*lines: str) -> str:
    """Of dcgm-exporter: a GPU's labels, and a value."""
    return "".join(f"DCGM_FI_DEV_{line}\n" for line in lines)


GPU = '{gpu="0",UUID="GPU-a"}'


BLANKS = ["2147483632", "2147483634", "4294967295", "140737488355328", "9.223372036854776e+18", "-1", "NaN"]
"""How DCGM, and those that pass it on, write that something is not known or not supported."""


@pytest.mark.parametrize("blank", BLANKS)
def test_what_an_exporter_does_not_know_is_no_fault_of_a_gpu(exporter, source_of, blank):
    names = ["SM_CLOCK", "MEM_CLOCK", "ECC_DBE_VOL_TOTAL", "UNCORRECTABLE_REMAPPED_ROWS", "ROW_REMAP_FAILURE"]
    exporter.text = series(*(f"{name}{GPU} {blank}" for name in [*names, "FAN_SPEED", "XID_ERRORS"]))
    source = source_of(exporter.url)
    assert source.look().readings == [{"index": 0, "uuid": "GPU-a"}]
    assert source.health() == {0: {}}


@pytest.mark.parametrize(("serial", "partition"), [("SN-1", "0"), ("SN-1", ""), ("", "4294967295")])
def test_cards_that_state_one_serial_number_are_two(exporter, source_of, serial, partition):
    """As those of a virtual MI300X do, whose partition has no number either."""
    labels = f'serial_number="{serial}",gpu_partition_id="{partition}"'
    exporter.text = "".join(f'gpu_gfx_activity{{gpu_id="{card}",{labels}}} {card}\n' for card in (0, 1))
    readings = source_of(exporter.url).look().readings
    assert [(reading["index"], reading["utilization"]) for reading in readings] == [(0, 0.0), (1, 0.01)]


def test_a_part_of_a_card_is_no_card(exporter, source_of):
    exporter.text = "".join(
        f'gpu_gfx_activity{{gpu_id="{part}",serial_number="69",gpu_partition_id="{part}"}} 5\n' for part in range(8)
    )
    assert source_of(exporter.url).look().number == 1


@pytest.mark.parametrize(
    "labels",
    [('UUID="a"', 'gpu="1",UUID="a"', 'gpu="1"'), ('gpu="1"', 'gpu="1",UUID="a"', 'UUID="a"')],
)
def test_a_line_that_has_one_name_of_a_card_alone_is_of_that_card(exporter, source_of, labels):
    names = ("GPU_TEMP", "GPU_UTIL", "POWER_USAGE")
    exporter.text = series(*(f"{name}{{{each}}} 50" for name, each in zip(names, labels, strict=True)))
    values = {"utilization": 0.5, "temperature_celsius": 50.0, "power_watts": 50.0}
    assert source_of(exporter.url).look().readings == [{"index": 1, "uuid": "a", **values}]


@pytest.mark.parametrize("text", ["", "up 1\n", "<html>", "\xff{", "DCGM_FI_DEV_GPU_UTIL{gpu=} x\n"])
def test_an_exporter_without_metrics_of_gpus_says_nothing_of_them(exporter, source_of, text):
    exporter.text = text
    assert source_of(exporter.url).look().sight is Sight.UNSURE
    with pytest.raises(UsageError, match="--gpu-source"):
        ExporterSource("ftp://a")


@pytest.mark.parametrize(
    ("text", "readings"),
    [
        (series(f"GPU_UTIL{GPU} NaN"), [{"index": 0, "uuid": "GPU-a"}]),
        (series(f"GPU_UTIL{GPU} +Inf", f"FB_USED{GPU} 1e308"), [{"index": 0, "uuid": "GPU-a"}]),
        (series(f"GPU_UTIL{GPU} -5", f"GPU_TEMP{GPU} -300", f"POWER_USAGE{GPU} -1"), [{"index": 0, "uuid": "GPU-a"}]),
        (series(f"GPU_UTIL{GPU} 101", f"GPU_TEMP{GPU} 255"), [{"index": 0, "uuid": "GPU-a"}]),
        (
            series(f"GPU_TEMP{GPU} 50", f"GPU_TEMP{GPU} 60"),
            [{"index": 0, "uuid": "GPU-a", "temperature_celsius": 50.0}],
        ),
        (
            series(f"FB_USED{GPU} 9", f"FB_TOTAL{GPU} 1e9"),
            [{"index": 0, "uuid": "GPU-a", "memory_used_bytes": 9 * MIB}],
        ),
        (series(f"FB_USED{GPU} 900", f"FB_TOTAL{GPU} 100"), [{"index": 0, "uuid": "GPU-a"}]),
        (series('GPU_TEMP{gpu="-1"} 50'), [{"index": 0, "temperature_celsius": 50.0}]),
        (series('GPU_TEMP{gpu="99999",UUID="\x01"} 50'), [{"index": 0, "temperature_celsius": 50.0}]),
        (series(f'GPU_TEMP{{gpu="3",UUID="{"u" * 10**6}"}} 50'), [{"index": 3, "temperature_celsius": 50.0}]),
        (
            series('GPU_TEMP{UUID="a"} 1', 'GPU_TEMP{UUID="b"} 2'),
            [
                {"index": 0, "uuid": "a", "temperature_celsius": 1.0},
                {"index": 1, "uuid": "b", "temperature_celsius": 2.0},
            ],
        ),
        (series("GPU_TEMP 50"), None),
        (series('GPU_TEMP{gpu=""} 50'), None),
        (series(*(f'GPU_TEMP{{gpu="{index}"}} 50' for index in range(257))), None),
        ("x" * 5_000_000, None),
    ],
    ids=range(15),
)
def test_what_an_exporter_says_that_cannot_be(exporter, source_of, text, readings):
    """A value is left out and its GPU is there; an answer that names none, or too many, says nothing of the GPUs."""
    exporter.text = text
    source = source_of(exporter.url)
    look = source.look()
    if readings is None:
        assert look.sight is Sight.UNSURE
        return
    assert (look.sight, look.readings) == (Sight.SEEN, readings)
    with_health = [{**reading, "health": source.health()[reading["index"]]} for reading in look.readings]
    assert type(parse_heartbeat(json.dumps({"gpus": with_health}).encode())) is Heartbeat


@pytest.mark.parametrize("status", [204, 302, 401, 404, 429, 503])
def test_an_exporter_that_answers_something_else_says_nothing(exporter, source_of, status):
    exporter.text, exporter.status = DCGM, status
    assert source_of(exporter.url).look().sight is Sight.UNSURE


@given(st.text(alphabet='DCGM_FI_DEVTEMP{}gpu="0",UUIDnaif1e9.+- \n\\#é', max_size=300))
def test_any_text_of_an_exporter_is_read(text):
    """By every mapping; a registry accepts every result."""
    source = ExporterSource("127.0.0.1:1")
    for mapping in source._mappings:
        gpus, health = read(mapping, samples_of(text, source._names))
        beat = {"gpus": [{**gpu.reading, "health": health[gpu.reading["index"]]} for gpu in gpus]}
        assert type(parse_heartbeat(json.dumps(beat).encode())) is Heartbeat


def test_samples_are_read_as_prometheus_writes_them():
    text = 'a 1\nz 1\nb{x="1",y="a\\"}"} 2.5 1700000000\n# c 3\nd{} NaN\ne{x="1"} +Inf\n \tf { x="1", } 1e3\n'
    assert [(name, dict(labels), value) for name, labels, value in samples_of(text, "abcef")] == [
        ("a", {}, 1.0),
        ("b", {"x": "1", "y": 'a\\"}'}, 2.5),
        ("e", {"x": "1"}, math.inf),
        ("f", {"x": "1"}, 1000.0),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "a{" + 'x="" ' * 5_000,
        "a" * 500_000,
        "a{" + "x" * 500_000,
        'a{x="' + '\\"' * 200_000,
        "a" + "{" * 500_000,
        "a" + " " * 500_000,
    ],
)
def test_no_text_takes_long_to_read(line):
    """The heartbeats of the agent wait meanwhile; an expression that tries every way would not come to an end."""
    assert list(samples_of(line + "\na 1\n", "a")) == [("a", {}, 1.0)]


def test_a_node_reads_its_exporter(mesh, agents, exporter):
    """End to end: what it shows stands in the registry, and a card that is gone from it is missed."""
    exporter.text = DCGM
    agents.start("--registry", mesh.url, "--node-name=a", "--gpu-source", exporter.url)
    until(lambda: [gpu["uuid"] for gpu in mesh.nodes().get("a", {}).get("gpus", [])], ["GPU-a", "GPU-b"])
    exporter.text = "".join(line for line in DCGM.splitlines(keepends=True) if "GPU-b" not in line)
    observed = 'aurora_node_gpus_observed{node="a"}'
    until(lambda: (mesh.metric('aurora_node_gpus{node="a"}'), mesh.metric(observed)), (2.0, 1.0))
    exporter.text = ""
    goal = mesh.metric('aurora_registry_heartbeats_total{transport="http"}') + 3
    until(lambda: mesh.metric('aurora_registry_heartbeats_total{transport="http"}') >= goal, expected=True)
    assert mesh.metric(observed) == 1


PIPE = object()
"""A file that nobody ever writes to."""


def card(directory, name, **files):
    """A card in sysfs."""
    device = directory / name / "device"
    for file, content in files.items():
        path = device / file.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is PIPE:
            os.mkfifo(path)
        else:
            path.write_bytes(content if isinstance(content, bytes) else f"{content}\n".encode())
    (directory / f"{name}-DP-1").mkdir()


def test_amds_cards_are_read_from_sysfs(tmp_path):
    """A processor's own graphics, and other vendors' cards, are left out."""
    sensors = {"hwmon__hwmon3__temp1_input": 61000, "hwmon__hwmon3__power1_average": 139_000_000}
    card(
        tmp_path,
        "card1",
        vendor="0x1002",
        mem_info_vram_total=2**34,
        mem_info_vram_used=2**30,
        gpu_busy_percent=50,
        unique_id="e4a5",
        product_name="Radeon RX 7800",
        current_link_width=8,
        max_link_width=16,
        hwmon__hwmon3__pwm1=51,
        **sensors,
    )
    card(
        tmp_path,
        "card10",
        vendor="0x1002",
        mem_info_vram_total=2**34,
        gpu_busy_percent=b"\xff",
        mem_info_vram_used=2**40,
    )
    card(tmp_path, "card0", vendor="0x1002", mem_info_vram_total=2**29)
    card(tmp_path, "card2", vendor="0x10de")
    look = Amd(tmp_path).look()
    assert look.readings == [
        {
            "index": 0,
            "uuid": "e4a5",
            "utilization": 0.5,
            "memory_used_bytes": 2**30,
            "temperature_celsius": 61.0,
            "power_watts": 139.0,
        },
        {"index": 1},
    ]
    assert look.inventory[:3] == (2, "Radeon RX 7800, AMD GPU", 2**35)
    assert Amd(tmp_path).health() == {0: {"fan": 0.2, "pcie_degraded": True}, 1: {}}


def test_no_sysfs_is_no_card(tmp_path):
    assert Amd(tmp_path / "none").look().sight is Sight.ABSENT
    assert Amd(tmp_path / "none").health() == {}


@pytest.mark.parametrize(
    ("files", "reading"),
    [
        ({"mem_info_vram_total": "garbage"}, {"index": 0}),
        ({"mem_info_vram_total": b"\xff" * 10_000}, {"index": 0}),
        ({"mem_info_vram_total": 2**62}, {"index": 0}),
        ({"mem_info_vram_total": 0}, {"index": 0}),
        ({"mem_info_vram_total": -1}, {"index": 0}),
        ({"gpu_busy_percent": 101, "mem_info_vram_used": -5}, {"index": 0}),
        ({"gpu_busy_percent": "9" * 5000, "unique_id": "\x01"}, {"index": 0}),
        ({"hwmon__hwmon1__temp1_input": -300_000, "hwmon__hwmon1__power1_input": -1}, {"index": 0}),
        ({"hwmon__hwmon1__temp1_input": -5000}, {"index": 0, "temperature_celsius": -5.0}),
        ({"hwmon__hwmon1__temp2_input": 41000}, {"index": 0, "temperature_celsius": 41.0}),
        (
            {"hwmon__hwmon1__temp1_input": 39000, "hwmon__hwmon1__temp2_input": 41000},
            {"index": 0, "temperature_celsius": 39.0},
        ),
        ({"mem_info_vram_used": PIPE}, {"index": 0}),
        ({"current_link_width": "x", "hwmon__hwmon1__pwm1": 999, "product_name": b"\xff"}, {"index": 0}),
    ],
    ids=range(13),
)
def test_what_sysfs_says_that_cannot_be(tmp_path, files, reading):
    """The card is there all the same."""
    card(tmp_path, "card0", **{"vendor": "0x1002", "mem_info_vram_total": 2**34, **files})
    amd = Amd(tmp_path)
    assert (amd.look().number, amd.look().readings) == (1, [reading])
    assert type(parse_heartbeat(json.dumps({"gpus": [{**reading, "health": amd.health()[0]}]}).encode())) is Heartbeat


@pytest.mark.parametrize(("width", "widest"), [(255, 16), (16, 255), (0, 16), (-1, 16), (255, 255)])
def test_a_link_of_no_width_is_not_judged(tmp_path, width, widest):
    card(tmp_path, "card0", vendor="0x1002", mem_info_vram_total=2**34, current_link_width=width, max_link_width=widest)
    amd = Amd(tmp_path)
    amd.look()
    assert amd.health() == {0: {}}


def test_a_name_of_a_card_that_is_no_text_is_left_out(tmp_path):
    card(tmp_path, "card0", vendor="0x1002", mem_info_vram_total=2**34, product_name=b"Radeon \xf8\xb1")
    assert Amd(tmp_path).look().inventory.type == "AMD GPU"


def test_a_card_that_reports_nothing_any_more_is_there_and_one_that_fell_off_is_not(tmp_path):
    """What was one of the node's GPUs stays one; its place is empty, or nobody may look."""
    for name in ("card0", "card1"):
        card(tmp_path, name, vendor="0x1002", mem_info_vram_total=2**34)
    amd = Amd(tmp_path)
    assert amd.look().number == 2
    (tmp_path / "card1/device/mem_info_vram_total").unlink()
    (tmp_path / "card1/device/vendor").unlink()
    assert (amd.look().number, len(amd.look().gpus)) == (2, 2)
    (tmp_path / "card1").rename(tmp_path / "gone")
    assert amd.look().number == 1
    tmp_path.rename(tmp_path.with_name("moved"))
    assert amd.look().sight is Sight.UNSURE
