"""How events on the bus read, and how ours are written."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.bus import events
from exporter.bus.events import MAX_BYTES, Unreadable, read_event, write_event
from exporter.domain.command import Depart, Register
from exporter.domain.heartbeat import GpuReading, Heartbeat, PartialHeartbeat, Reason
from exporter.domain.registration import Registration
from exporter.domain.status import Transport
from exporter.telemetry.reasons import Rejection

SEED = {
    "type": "node_heartbeat",
    "source_node": "vengeance",
    "data": {"node": "vengeance", "role": "compute", "status": "active"},
}


def event(event_type: object, data: object, **more: object) -> bytes:
    """An event's bytes."""
    return json.dumps({"type": event_type, "source_node": "ann", "data": data, **more}).encode()


def refusal(payload: bytes) -> tuple[Rejection, str]:
    """Why and with which sentence the event is refused."""
    with pytest.raises(Unreadable) as caught:
        read_event(payload)
    return caught.value.reason, str(caught.value)


def test_the_heartbeat_that_the_mesh_sends_is_read():
    """The seed's own event, from a Python program and as a compact encoder writes it."""
    expected = Heartbeat(node="vengeance", role="compute", status="active")

    assert read_event(json.dumps(SEED).encode()) == expected
    assert read_event(json.dumps(SEED, separators=(",", ":")).encode()) == expected


def test_a_heartbeat_carries_all_that_one_over_http_does():
    """Readings, sequence and timestamp; unknown keys on either level are ignored."""
    data = {
        "node": "ann",
        "timestamp": 1759752005.5,
        "sequence": 7,
        "gpus": [{"index": 0, "uuid": "GPU-1", "utilization": 0.5}],
        "firmware": "3",
    }

    beat = read_event(event("node_heartbeat", data, version=2))

    assert beat == Heartbeat(
        node="ann", timestamp=1759752005.5, sequence=7, gpus=(GpuReading(0, "GPU-1", utilization=0.5),)
    )


@pytest.mark.parametrize("timestamp", ["NaN", "Infinity", "-Infinity", "1e999", '"yesterday"', "-1", "1e300"])
def test_a_bad_timestamp_makes_no_heartbeat_unreadable(timestamp):
    """A node whose clock is broken lives all the same."""
    payload = b'{"type": "node_heartbeat", "data": {"node": "ann", "timestamp": %s}}' % timestamp.encode()

    beat = read_event(payload)

    assert isinstance(beat, Heartbeat)
    assert beat.node == "ann"


def test_a_registration_is_read():
    """Its data is what `POST /nodes/register` takes."""
    command = read_event(event("node_register", {"name": "ann", "role": "lead", "vpn_ip": "10.0.0.1"}))

    assert command == Register(Registration("ann", role="lead", vpn_ip="10.0.0.1"), Transport.BUS)


def test_a_departure_is_read():
    """A planned leave needs the node's name and nothing else."""
    assert read_event(event("node_deregister", {"node": "ann", "reason": "moving"})) == Depart("ann")


@pytest.mark.parametrize(
    "payload",
    [
        event("gpu_job_finished", {"anything": [1, 2, 3]}),
        event("node_registered", {"node": "ann"}),
        event("", None),
        b'{"type": "chat", "text": "x"}' + b" " * MAX_BYTES,
        b'{"type": "chat", "temperature": NaN}',
    ],
)
def test_other_types_pass_by(payload):
    """The channel is everybody's: what is not ours to read is no error, however large or loose."""
    assert read_event(payload) is None


@pytest.mark.parametrize("event_type", ["node_heartbeat", "node_register", "node_deregister"])
@pytest.mark.parametrize("data", [{"node": "ann", "name": "ann"}, None])
def test_our_own_events_are_not_read_back(event_type, data):
    """What we say ourselves is no news of a node."""
    payload = json.dumps({"type": event_type, "source_node": "node-registry", "data": data}).encode()

    assert read_event(payload) is None


@pytest.mark.parametrize(
    ("payload", "reason", "sentence"),
    [
        (b"", Rejection.NOT_JSON, "the body is not JSON: Expecting value at line 1 column 1"),
        (b"\xff\xfe\x00", Rejection.NOT_JSON, "the body is not UTF-8 (byte 0)"),
        (b"[" * 100_000, Rejection.TOO_COMPLEX, "the body is nested deeper than 32 levels"),
        (b'{"type": ' + b"9" * 5000 + b"}", Rejection.NO_TYPE, None),
        (b"\x00" * (MAX_BYTES + 1), Rejection.TOO_LARGE, "expected at most 262144 bytes, got 262145"),
        (b"[1]", Rejection.NOT_OBJECT, "expected an event as a JSON object, got [1]"),
        (b'"node_heartbeat"', Rejection.NOT_OBJECT, None),
        (b"null", Rejection.NOT_OBJECT, None),
        (b"{}", Rejection.NO_TYPE, "type: expected text such as 'node_heartbeat', got None"),
        (event(5, {}), Rejection.NO_TYPE, "type: expected text such as 'node_heartbeat', got 5"),
        (
            event("node_heartbeat", "ann"),
            Rejection.BAD_HEARTBEAT,
            "expected a heartbeat as a JSON object, got 'ann'",
        ),
        (event("node_heartbeat", {"node": 5}), Rejection.BAD_HEARTBEAT, "node: expected text, got 5"),
        (event("node_register", {"role": "lead"}), Rejection.BAD_REGISTRATION, "name: required"),
        (
            event("node_register", {"name": "ann", "colour": "red"}),
            Rejection.BAD_REGISTRATION,
            "colour: not a known field here",
        ),
        (event("node_register", None), Rejection.BAD_REGISTRATION, None),
        (event("node_deregister", {}), Rejection.BAD_DEREGISTRATION, "node: expected a node's name, got None"),
        (event("node_deregister", {"node": "../etc"}), Rejection.BAD_DEREGISTRATION, None),
        (event("node_deregister", []), Rejection.BAD_DEREGISTRATION, None),
    ],
)
def test_what_cannot_be_read_says_why(payload, reason, sentence):
    """One reason of the fixed set, and a sentence that names field, value and expectation."""
    reported = refusal(payload)

    assert reported[0] is reason
    if sentence is not None:
        assert reported[1] == sentence


@pytest.mark.parametrize(
    ("data", "field", "reason"),
    [
        (b'"role": "\\ud800"', "role", Reason.BAD_TEXT),
        (b'"role": "not a name"', "role", Reason.BAD_TEXT),
        (b'"status": "a\\nb"', "status", Reason.BAD_TEXT),
        (b'"status": "a\nb"', "status", Reason.BAD_TEXT),
        (b'"status": "\xff"', "status", Reason.BAD_TEXT),
        (b'"sequence": -1', "sequence", Reason.OUT_OF_RANGE),
        (b'"sequence": ' + b"9" * 5000, "sequence", Reason.NOT_FINITE),
        (b'"timestamp": NaN', "timestamp", Reason.NOT_FINITE),
        (b'"gpus": 5', "gpus", Reason.WRONG_TYPE),
        (b'"gpus": [' + b'{"index": 0}, ' * MAX_BYTES + b"5]", "", Reason.TOO_LARGE),
    ],
)
def test_a_heartbeat_whose_name_can_be_read_counts(data, field, reason):
    """Whatever else is wrong in it is left out by name."""
    beat = read_event(b'{"type": "node_heartbeat", "data": {"node": "ann", %b}}' % data)

    assert isinstance(beat, PartialHeartbeat)
    assert (beat.node, beat.role, beat.status) == ("ann", "compute", None)
    assert [(part.field, part.reason) for part in beat.ignored] == [(field, reason)]
    assert beat.counts == {reason: 1}


@pytest.mark.parametrize(
    "payload",
    [
        b'{"type": "node_heartbeat", "data": {"node": "ann"}, "data": {"node": "bob"}}',
        b'{"type": "node_heartbeat", "data": {"node": "ann", "node": "bob"}}',
        b'{"type": "chat", "type": "node_heartbeat", "data": {"node": "ann"}}',
    ],
)
def test_a_key_that_stands_twice_is_refused(payload):
    """No event may be one node's to us and another's to other readers of the channel."""
    assert refusal(payload)[0] is Rejection.NOT_JSON


def test_a_value_that_looks_like_a_key_is_fine():
    """Only keys may not stand twice."""
    payload = event("node_heartbeat", {"node": "data", "role": "node", "status": "status"})

    assert read_event(payload) == Heartbeat(node="data", role="node", status="status")


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(payload):
    """There is no third way out."""
    try:
        read = read_event(payload)
    except Unreadable as fault:
        assert str(fault)  # noqa: PT017 - either way is fine
    else:
        assert isinstance(read, Heartbeat | Register | Depart | None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(["node", "name", "role", "status", "timestamp", "sequence", "gpus", "capabilities", "ttl"])


@given(
    st.sampled_from(["node_heartbeat", "node_register", "node_deregister"]),
    JSON | st.dictionaries(KEYS, JSON | st.just("ann"), max_size=5),
)
def test_any_data_is_read_or_refused_for_its_type(event_type, data):
    """The reason belongs to the type, unless JSON itself was broken."""
    reasons = {
        "node_heartbeat": Rejection.BAD_HEARTBEAT,
        "node_register": Rejection.BAD_REGISTRATION,
        "node_deregister": Rejection.BAD_DEREGISTRATION,
    }
    try:
        read = read_event(json.dumps({"type": event_type, "data": data}).encode())
    except Unreadable as fault:
        assert fault.reason in {reasons[event_type], Rejection.NOT_JSON}  # noqa: PT017 - either way is fine
    else:
        assert isinstance(read, Heartbeat | Register | Depart)


def test_our_events_are_written_for_everybody():
    """As others write theirs; who said it stands in `source_node`."""
    written = json.loads(write_event("node_deregistered", {"node": "ann"}))

    assert written == {"type": "node_deregistered", "source_node": "node-registry", "data": {"node": "ann"}}


def test_our_own_transitions_are_known_by_their_beginning(monkeypatch):
    """They come back as many at once as there are nodes, and nothing is decoded of them."""
    monkeypatch.setattr(events, "_decode_heartbeat", None)
    data = {"node": "ann", "from": "active", "to": "warning", "at": "2025-10-06T12:00:05Z"}

    assert read_event(write_event("node_status_changed", data)) is None


def test_more_values_than_are_read_have_a_reason_of_their_own():
    """It may be JSON; a heartbeat among them counts all the same, by its name."""
    many = b"[" + b"0," * 20_000 + b"0]"
    registration = b'{"type": "node_register", "data": {"name": "ann", "capabilities": {"k": %b}}}' % many
    beat = b'{"type": "node_heartbeat", "data": {"node": "ann", "gpus": 5, "k": %b}}' % many

    assert refusal(registration) == (Rejection.TOO_COMPLEX, "expected a body of at most 10000 commas, got 20002")
    found = read_event(beat)
    assert isinstance(found, PartialHeartbeat)
    assert found.node == "ann"
