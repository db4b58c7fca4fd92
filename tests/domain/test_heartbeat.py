from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.domain.clock import SECOND
from exporter.domain.errors import Fault, Invalid
from exporter.domain.heartbeat import GpuReading, Heartbeat, check_name, heartbeat_of, parse_heartbeat, sent_at_ns

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
        (b'{"status": 5}', Fault("status", "expected str | null, got 5")),
        (
            b'{"status": "a\\u0000"}',
            Fault("status", "expected no control, bidi-override or surrogate characters, got '\\x00'"),
        ),
        (b'{"sequence": -1}', Fault("sequence", "expected int >= 0, got -1")),
        (b'{"node": "a", "node": "b"}', Fault("node", "the key stands more than once in one object")),
        (b'{"gpus": [{}]}', Fault("gpus[0].index", "required")),
        (
            b'{"gpus": [{"index": 0}, {"index": 0}]}',
            Fault("gpus[1].index", "expected each index once, got 0 again"),
        ),
        (
            b'{"gpus": [{"index": 0, "uuid": "a\\nb"}]}',
            Fault("gpus[0].uuid", "expected no control, bidi-override or surrogate characters, got '\\n'"),
        ),
        (
            b'{"gpus": [{"index": 0, "power_watts": NaN}]}',
            Fault("gpus[0].power_watts", "expected a finite number, got nan"),
        ),
    ],
)
def test_what_is_wrong_is_named(body, fault):
    assert faults_of(body) == [fault]


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
def test_any_bytes_are_a_heartbeat_or_refused(body):
    """Never another exception, and a refusal that can be told."""
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
