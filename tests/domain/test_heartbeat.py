from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.domain.clock import SECOND
from exporter.domain.errors import Fault, Invalid
from exporter.domain.heartbeat import (
    MAX_IGNORED,
    GpuHealth,
    GpuReading,
    Heartbeat,
    PartialHeartbeat,
    Reason,
    Throttling,
    check_name,
    sent_at_ns,
)
from exporter.domain.parsing import heartbeat_of, parse_heartbeat

FULL = b"""{"node": "vengeance", "role": "compute", "status": "active", "timestamp": 1759752005.5, "sequence": 7,
    "gpus": [{"index": 0, "uuid": "GPU-1", "utilization": 0.5, "memory_used_bytes": 1024, "temperature_celsius": 61,
    "power_watts": 300.5}, {"index": 1}]}"""


def bodies(text):
    """Heartbeats of all sorts of values under the known keys; `text`: what the texts among them are made of."""
    scalars = st.none() | st.booleans() | st.integers() | st.floats() | text
    values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(text, inner), max_leaves=6)
    measures = ["index", "uuid", "utilization", "memory_used_bytes", "temperature_celsius", "power_watts", "x"]
    readings = st.lists(st.dictionaries(st.sampled_from(measures), scalars))
    known = dict.fromkeys(["node", "role", "status", "timestamp", "sequence"], scalars)
    return st.fixed_dictionaries({}, optional={**known, "gpus": readings | values, "x": values})


def faults_of(body):
    with pytest.raises(Invalid) as caught:
        parse_heartbeat(body)
    return caught.value.faults


def test_everything_that_a_heartbeat_may_say_is_understood():
    assert parse_heartbeat(FULL) == Heartbeat(
        node="vengeance",
        role="compute",
        status="active",
        timestamp=1759752005.5,
        sequence=7,
        gpus=(GpuReading(0, "GPU-1", 0.5, 1024, 61.0, 300.5), GpuReading(1)),
    )


@pytest.mark.parametrize("body", [b"", b"{}", b'{"uptime": 5, "gpu": {"deep": [1]}}'])
def test_an_empty_heartbeat_and_unknown_keys_are_heartbeats_too(body):
    assert parse_heartbeat(body) == Heartbeat()


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"[]", Fault("", "expected a heartbeat as a JSON object, got []")),
        (b"{", Fault("", "the body is not JSON: Expecting property name enclosed in double quotes at line 1 column 2")),
        (b'{"node": "a", "node": "b"}', Fault("node", "the key stands more than once in one object")),
        (b'{"node": 5}', Fault("node", "expected text, got 5")),
    ],
)
def test_without_a_name_that_can_be_read_it_is_refused(body, fault):
    """And with one from elsewhere, such as a path, it is a heartbeat of which this is left out."""
    assert faults_of(body) == [fault]
    beat = parse_heartbeat(body, node="n1")
    assert isinstance(beat, PartialHeartbeat)
    assert [(part.field, part.message) for part in beat.ignored] == [(fault.field, fault.message)]


UNSAFE = "expected no control, bidi-override or surrogate characters, got "


@pytest.mark.parametrize(
    ("body", "field", "message", "reason"),
    [
        (b'{"status": 5}', "status", "expected text or null, got 5", Reason.WRONG_TYPE),
        (b'{"status": "a\\u0000"}', "status", UNSAFE + "'\\x00'", Reason.BAD_TEXT),
        (b'{"sequence": -1}', "sequence", "expected whole number >= 0, got -1", Reason.OUT_OF_RANGE),
        (b'{"timestamp": 1e300}', "timestamp", None, Reason.OUT_OF_RANGE),
        (b'{"timestamp": "soon"}', "timestamp", None, Reason.OUT_OF_RANGE),
        (b'{"timestamp": true}', "timestamp", None, Reason.WRONG_TYPE),
        (b'{"gpus": {}}', "gpus", "expected array, got {}", Reason.WRONG_TYPE),
        (b'{"gpus": [], "gpus": []}', "gpus", "the key stands more than once in one object", Reason.DUPLICATE),
    ],
)
def test_what_is_wrong_is_left_out_and_named(body, field, message, reason):
    beat = parse_heartbeat(body)
    assert isinstance(beat, PartialHeartbeat)
    [ignored] = beat.ignored
    assert (ignored.field, ignored.reason) == (field, reason)
    assert message in {None, ignored.message}
    assert beat == PartialHeartbeat(ignored=beat.ignored, counts={reason: 1})


@pytest.mark.parametrize(
    ("measure", "reason"),
    [
        ('"uuid": "a\\nb"', Reason.BAD_TEXT),
        ('"uuid": "' + "x" * 257 + '"', Reason.BAD_TEXT),
        ('"uuid": 5', Reason.WRONG_TYPE),
        ('"utilization": 1.5', Reason.OUT_OF_RANGE),
        ('"utilization": -0.1', Reason.OUT_OF_RANGE),
        ('"utilization": 808334905', Reason.OUT_OF_RANGE),
        ('"utilization": true', Reason.WRONG_TYPE),
        ('"memory_used_bytes": 18446744073709551615', Reason.OUT_OF_RANGE),
        ('"memory_used_bytes": 1.5', Reason.WRONG_TYPE),
        ('"memory_used_bytes": 1e999', Reason.NOT_FINITE),
        ('"temperature_celsius": 4294967040', Reason.OUT_OF_RANGE),
        ('"temperature_celsius": 255', Reason.OUT_OF_RANGE),
        ('"temperature_celsius": -274', Reason.OUT_OF_RANGE),
        ('"temperature_celsius": "61"', Reason.WRONG_TYPE),
        ('"power_watts": 4294967.295', Reason.OUT_OF_RANGE),
        ('"power_watts": -1', Reason.OUT_OF_RANGE),
        ('"power_watts": NaN', Reason.NOT_FINITE),
        ('"power_watts": ' + "9" * 5000, Reason.NOT_FINITE),
        ('"age_seconds": -1', Reason.OUT_OF_RANGE),
        ('"health": []', Reason.WRONG_TYPE),
    ],
)
def test_one_bad_measure_costs_no_other(measure, reason):
    """The GPU is there, and all else that it reports is taken."""
    other = "" if "power_watts" in measure else '"power_watts": 3e2, '
    gpus = f'[{{"index": 0, "uuid": "GPU-0"}}, {{"index": 1, {other}{measure}}}]'
    beat = parse_heartbeat(f'{{"sequence": 7, "gpus": {gpus}}}'.encode())
    assert isinstance(beat, PartialHeartbeat)
    assert beat.counts == {reason: 1}
    assert beat.ignored[0].field == "gpus[1]." + measure.partition(":")[0].strip('"')
    assert beat.sequence == 7
    assert beat.gpus == (GpuReading(0, "GPU-0"), GpuReading(1, power_watts=300.0 if other else None))


@pytest.mark.parametrize(
    ("measure", "reason"),
    [
        ('"xid_errors": {"79": -1}', Reason.OUT_OF_RANGE),
        ('"xid_errors": {"seventy": 1}', Reason.OUT_OF_RANGE),
        ('"xid_errors": [79]', Reason.WRONG_TYPE),
        ('"throttled": ["sloth"]', Reason.OUT_OF_RANGE),
        ('"throttled": "hw_thermal"', Reason.WRONG_TYPE),
        ('"pcie_degraded": 1', Reason.WRONG_TYPE),
        ('"fan": 300', Reason.OUT_OF_RANGE),
        ('"energy_joules": NaN', Reason.NOT_FINITE),
        ('"ecc_uncorrected_errors": 18446744073709551615', Reason.OUT_OF_RANGE),
    ],
)
def test_one_bad_word_of_health_costs_no_other(measure, reason):
    """As with readings."""
    beat = parse_heartbeat(f'{{"gpus": [{{"index": 0, "health": {{"processes": 3, {measure}}}}}]}}'.encode())
    assert isinstance(beat, PartialHeartbeat)
    assert beat.counts == {reason: 1}
    assert beat.ignored[0].field.startswith("gpus[0].health." + measure.partition(":")[0].strip('"'))
    assert beat.gpus == (GpuReading(0, health=GpuHealth(processes=3)),)


def test_health_is_understood():
    """All that a node can report of a GPU's health."""
    health = {"xid_errors": {"79": 1}, "throttled": ["hw_thermal"], "pcie_degraded": True, "ecc_uncorrected_errors": 0}
    beat = parse_heartbeat(json.dumps({"gpus": [{"index": 0, "health": health}]}).encode())
    assert type(beat) is Heartbeat
    expected = GpuHealth(
        xid_errors={"79": 1}, throttled=(Throttling.HW_THERMAL,), pcie_degraded=True, ecc_uncorrected_errors=0
    )
    assert beat.gpus == (GpuReading(0, health=expected),)


@pytest.mark.parametrize(
    ("gpus", "indices", "counts"),
    [
        ('[{"index": 0}, {"index": 0}, {"index": 1}]', [0, 1], {Reason.DUPLICATE: 1}),
        (
            '[{"index": 0}, {}, 5, null, {"index": -1}, {"index": true}]',
            [0],
            {Reason.WRONG_TYPE: 4, Reason.OUT_OF_RANGE: 1},
        ),
        ("[" + ", ".join(f'{{"index": {index}}}' for index in range(300)) + "]", range(256), {Reason.TOO_MANY: 1}),
        ("[5]", None, {Reason.WRONG_TYPE: 1}),
    ],
)
def test_a_gpu_that_cannot_be_placed_is_left_out(gpus, indices, counts):
    """Where none can, the GPUs are unknown, which is not the same as no GPUs."""
    beat = parse_heartbeat(f'{{"gpus": {gpus}}}'.encode())
    assert isinstance(beat, PartialHeartbeat)
    assert beat.counts == counts
    assert (None if beat.gpus is None else [gpu.index for gpu in beat.gpus]) == (indices and list(indices))


def test_only_so_many_faults_are_named():
    """All are counted: an answer stays short whatever was sent."""
    body = json.dumps({"gpus": [{"index": index, "uuid": 5, "utilization": 5} for index in range(256)]}).encode()
    beat = parse_heartbeat(body)
    assert isinstance(beat, PartialHeartbeat)
    assert (len(beat.ignored), sum(beat.counts.values())) == (MAX_IGNORED, 512)


@pytest.mark.parametrize(
    ("timestamp", "ns"),
    [
        ("1759752005", 1_759_752_005 * SECOND),
        ("0.5", SECOND // 2),
        ('"2025-10-06T12:00:05Z"', 1_759_752_005 * SECOND),
        ('"yesterday"', None),
        ("NaN", None),
        ("1e999", None),
        ("1e300", None),
        ("null", None),
    ],
)
def test_a_timestamp_that_cannot_be_used_is_no_timestamp(timestamp, ns):
    """It feeds a gauge; the heartbeat counts all the same."""
    assert sent_at_ns(parse_heartbeat(f'{{"timestamp": {timestamp}}}'.encode())) == ns


def test_a_name_is_checked_by_the_field_it_came_in():
    check_name("a")
    with pytest.raises(Invalid) as caught:
        check_name("", "data.node")
    assert caught.value.faults[0].field == "data.node"


@given(st.binary() | bodies(st.text(st.characters())).map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_a_heartbeat_of_a_node_that_is_known(body):
    """Liveness never depends on payload."""
    assert_usable(parse_heartbeat(body, node="n1"))


@given(st.binary() | bodies(st.text(st.characters())).map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_a_heartbeat_or_refused(body):
    """Never another exception, and a refusal that can be written out."""
    try:
        beat = parse_heartbeat(body)
    except Invalid as error:
        assert_tellable(error)
    else:
        assert_usable(beat)


@given(bodies(st.text()))
def test_any_decoded_value_is_a_heartbeat_or_refused(value):
    """What was decoded strictly, that is: without lone surrogates."""
    try:
        beat = heartbeat_of(value)
    except Invalid as error:
        assert_tellable(error)
    else:
        assert_usable(beat)


def assert_tellable(error):
    assert error.faults
    assert str(error).encode().decode() == str(error)


def assert_usable(beat):
    sent_ns = sent_at_ns(beat)
    assert sent_ns is None or abs(sent_ns) < 2**80
    assert len({reading.index for reading in beat.gpus or ()}) == len(beat.gpus or ())
    for reading in beat.gpus or ():
        assert reading.uuid.encode().decode() == reading.uuid
        assert reading.utilization is None or 0 <= reading.utilization <= 1
