"""What drivers do to a node, with the real agent, the real pynvml and a real registry: what is sent, and what shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.agent.test_agent_gpus import READING
from tests.support.server_process import until

pytestmark = pytest.mark.servers


def test_a_node_with_gpus(node):
    """Registered with what there is, and read live."""
    node.driver.answer(count=2)
    node.start()
    until(lambda: node.observed, 2)
    assert node.document["capabilities"] == {"gpu": True, "gpu_count": 2, "gpu_type": "RTX 4090", "gpu_memory": 48.0}
    assert node.plain() == READING
    assert node.document["agent"]["name"] == "aurora-agent"


def test_texts_and_values_that_cannot_be_cost_no_heartbeat(node):
    """Of every kind at once, while running."""
    node.start()
    until(node.plain, READING)
    node.driver.answer(
        name=b"\xf8\xb1\x01", uuid=b"\x01\xff", memory_used=2**64 - 1, temperature=4294967040, utilization=808334905
    )
    until(node.plain, {"index": 0, "uuid": "GPU-0", "power_watts": 390.5})
    node.beats()
    assert (node.registered, node.observed, node.process.poll()) == (1, 1, None)
    assert node.mesh.metric('aurora_registry_readings_rejected_total{reason="out_of_range"}') == 0


@pytest.mark.parametrize("answers", [{"nvmlDeviceGetHandleByIndex_v2__1": 15}, {"all__1": 15}, {"all__1": 16}])
def test_a_lost_gpu_stays_missed(node, answers):
    """Whatever starts again: the agent, or a registry that forgets everything."""
    node.driver.answer(count=2)
    node.start()
    until(lambda: node.observed, 2)
    node.driver.answer(**answers)
    until(lambda: (node.registered, node.observed), (2, 1))
    node.driver.answer_again(count=1)
    node.restart()
    node.beats()
    assert (node.registered, node.observed) == (2, 1)
    node.mesh.kill()
    node.mesh.start()
    until(lambda: (node.registered, node.observed), (2, 1))
    node.driver.answer(count=2, **answers)
    node.restart()
    node.beats()
    assert (node.registered, node.observed, node.document["capabilities"]["gpu_memory"]) == (2, 1, 48.0)
    node.driver.answer_again(count=2)
    until(lambda: node.observed, 2)


@pytest.mark.parametrize("answers", [{"nvmlInitWithFlags": 18}, {"nvmlInitWithFlags": 9}])
def test_a_driver_that_reaches_no_gpu_is_missed(node, answers):
    """Its readings end at once, and what the node had stands through a restart."""
    node.start()
    until(lambda: node.observed, 1)
    node.driver.answer(**answers)
    node.restart()
    until(lambda: node.observed, 0)
    assert (node.registered, node.document["capabilities"]["gpu_type"]) == (1, "RTX 4090")
    assert "gpus" not in node.document
    node.driver.answer_again()
    until(lambda: node.observed, 1)


@pytest.mark.parametrize("answers", [{"nvmlDeviceGetCount_v2": 999}, {"all": 999}, {"nvmlInitWithFlags": 999}])
def test_a_driver_that_cannot_be_asked_says_nothing_of_its_gpus(node, answers):
    """Not looked is not lost, also when the agent starts then."""
    node.start()
    until(lambda: node.observed, 1)
    node.driver.answer(**answers)
    node.beats()
    assert (node.registered, node.observed) == (1, 1)
    node.restart()
    node.beats()
    assert (node.registered, node.observed) == (1, 1)


def test_a_driver_that_was_removed_is_missed(node):
    """On a node that had a GPU; on one that never had, its absence is a statement."""
    node.start()
    until(lambda: node.observed, 1)
    node.driver.remove()
    node.restart()
    until(lambda: (node.registered, node.observed), (1, 0))


def test_people_say_how_many_there_are(node):
    """By an option, or by accepting what is there."""
    node.driver.answer(count=2)
    node.start()
    until(lambda: node.registered, 2)
    node.driver.answer(count=1)
    until(lambda: node.observed, 1)
    assert node.mesh.ask("POST", f"/nodes/{node.name}/accept").status_code == 200
    node.restart()
    node.beats()
    assert (node.registered, node.observed) == (1, 1)
    node.restart("--gpus=4", "--gpu-memory=96")
    until(lambda: node.registered, 4)
    assert node.document["capabilities"]["gpu_memory"] == 96
    node.restart("--gpus=0")
    until(lambda: node.registered, 0)
    node.beats()
    assert node.observed in {0, 1}


@pytest.mark.parametrize("statement", ["--gpus=1", "--gpus=0", "--gpu-memory=96"])
def test_a_statement_stands_and_is_made_once(node, statement):
    """A driver that sees something else is no reason to register again with each heartbeat."""
    node.driver.answer(count=2)
    node.start(statement)
    until(lambda: node.observed, 2)
    node.beats(1)
    registered = node.log().count("msg=registered")
    node.beats(5)
    assert node.log().count("msg=registered") == registered <= 2


def test_a_slow_driver_is_not_missing(node):
    """Eight GPUs, 70 ms a question: what is read late is used late, with its age."""
    node.driver.answer(count=8, delay_ms=70)
    node.start()
    until(lambda: node.registered, 8)
    until(lambda: node.observed, 8)
    assert all(reading["age_seconds"] > 1 for reading in node.document["gpus"])
    assert node.plain(7) == {**READING, "index": 7, "uuid": "GPU-7"}


def test_a_driver_that_hangs_delays_a_heartbeat_by_two_seconds_at_most(node):
    """And the registration as well; when it answers, its GPUs are registered."""
    node.driver.answer(delay_ms__nvmlInitWithFlags=6_000)
    node.start()
    until(lambda: node.document.get("status"), "active")
    assert node.registered == 0
    until(lambda: (node.registered, node.observed), (1, 1))
    node.driver.answer(delay_ms=3_600_000)
    node.beats(2)
    assert (node.registered, node.observed) == (1, 1)
    node.process.terminate()
    assert node.process.wait(10) == 0


def test_a_driver_that_was_exchanged_is_found_while_running(node):
    node.start()
    until(lambda: node.observed, 1)
    node.driver.answer(kernel=560)
    until(lambda: node.observed, 0)
    node.driver.install(560)
    until(lambda: node.observed, 1)
    assert node.registered == 1


def test_a_driver_is_exchanged_under_a_thread_that_never_returns_from_it(node):
    """The one that waits for XID errors: each new library is found, beside those that cannot be let go."""
    sample = f'aurora_node_gpu_xid_errors_total{{node="{node.name}",gpu="0",uuid="GPU-0",code="79"}}'
    number = 0

    def error_is_counted() -> bool:
        nonlocal number
        number += 1
        node.driver.answer(xid=79, xid_gpu=0, xid_number=number)
        return sample in node.mesh.get("/metrics").text

    node.driver.answer(delay_ms__nvmlEventSetWait_v2=3_600_000)
    node.start()
    until(lambda: "health" in node.reading(), expected=True)
    for kernel in (560, 570):
        node.driver.answer(kernel=kernel)
        until(lambda: node.observed, 0)
        node.beats()
        node.driver.install(kernel)
        until(lambda: node.observed, 1)
        node.beats()
    node.driver.answer(delay_ms__nvmlEventSetWait_v2=None, kernel=580)
    until(lambda: node.observed, 0)
    node.driver.install(580)
    until(error_is_counted, expected=True)
    assert (node.registered, node.process.poll()) == (1, None)
    assert Path(f"/proc/{node.process.pid}/maps").read_text().count("r-xp") < 100


def test_unknown_memory_is_left_out_and_can_be_stated(node):
    """Unified memory, MIG: zero would be a statement."""
    node.driver.answer(nvmlDeviceGetMemoryInfo=3, nvmlDeviceGetUtilizationRates=3)
    node.start()
    until(lambda: node.observed, 1)
    assert node.document["capabilities"] == {"gpu": True, "gpu_count": 1, "gpu_type": "RTX 4090"}
    assert set(node.plain()) == {"index", "uuid", "temperature_celsius", "power_watts"}
    node.restart("--gpu-memory=128")
    until(lambda: node.document["capabilities"].get("gpu_memory"), 128.0)


def test_readings_can_be_off(node):
    """The driver is asked once, for what there is, and let go."""
    node.start("--gpu-readings=off")
    until(lambda: node.registered, 1)
    node.beats()
    assert (node.observed, "gpus" in node.document) == (None, False)
    assert "libnvidia-ml" not in Path(f"/proc/{node.process.pid}/maps").read_text()


def test_readings_can_be_rare(node):
    """In between the library is closed, and what was read keeps its age."""
    node.start("--gpu-readings=1h")
    until(lambda: node.observed, 1)
    node.beats(8)
    assert node.document["gpus"][0]["age_seconds"] > 1
    assert "libnvidia-ml" not in Path(f"/proc/{node.process.pid}/maps").read_text()


def test_a_gpu_that_falls_off_says_why(node):
    """An XID is counted by its code, also when its GPU is not observed any more."""
    node.driver.answer(count=2)
    node.start()
    until(lambda: "health" in node.reading(1), expected=True)
    node.driver.answer(xid_gpu=1, xid=79, xid_number=1, all__1=15)
    sample = f'aurora_node_gpu_xid_errors_total{{node="{node.name}",gpu="1",uuid="GPU-1",code="79"}} 1'
    until(lambda: sample in node.mesh.get("/metrics").text, expected=True)
    until(lambda: (node.registered, node.observed), (2, 1))
    assert node.reading(1) == {"index": 1, "uuid": "GPU-1", "lost": True, "health": {"xid_errors": {"79": 1}}}
