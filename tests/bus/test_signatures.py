"""Signed events: who signed them, whether they may, and whether they were sent before."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest

from exporter.auth.keyring import Keyring
from exporter.bus.events import Unreadable, read_event
from exporter.bus.signatures import SignatureCheck
from exporter.domain.config import Auth
from exporter.domain.signing import node_token, signed_event
from tests.support.clock import ManualClock

JOIN, OPERATOR = "join-token-of-the-tests", "operator-token-of-the-tests"
BEAT = {"node": "ann", "role": "compute"}


class Check:
    """A check with its clock; `send` gives who signed, or the reason of the refusal."""

    def __init__(self, directory: Path) -> None:
        for name, token in (("join", JOIN), ("operator", OPERATOR)):
            (directory / name).write_text(token)
        self.keyring = Keyring(Auth(join_token_file=f"{directory}/join", operator_token_file=f"{directory}/operator"))
        self.required = True
        self.clock = ManualClock()
        self.check = SignatureCheck(lambda: self.keyring, lambda: self.required, self.clock)

    def event(self, data=BEAT, kind="node_heartbeat", token=None, ahead=0.0):
        at_ms = self.clock.wall_ns() // 1_000_000 + round(ahead * 1000)
        return signed_event(token or node_token(JOIN, "ann"), kind, "ann", data, at_ms)

    def send(self, payload):
        event = read_event(payload)
        assert event is not None
        try:
            return str(self.check.check(payload, event))
        except Unreadable as refused:
            return refused.reason.value


@pytest.fixture
def check(tmp_path):
    return Check(tmp_path)


def test_a_node_signs_for_itself_and_an_operator_for_all(check):
    assert check.send(check.event()) == "node ann"
    assert check.send(check.event(token=OPERATOR)) == "operator"
    assert check.send(check.event({"name": "ann"}, "node_register", ahead=1)) == "node ann"
    assert check.send(check.event({"name": "bob"}, "node_register", ahead=2)) == "bad_signature"
    assert check.send(check.event(token=JOIN)) == "bad_signature"


def test_a_departure_is_signed_by_the_node_that_leaves_or_an_operator(check):
    """As over HTTP."""
    leaving = check.event({"node": "ann"}, "node_deregister")
    assert check.send(leaving) == "node ann"
    assert check.send(leaving) == "stale_signature"
    assert check.send(check.event({"node": "bob"}, "node_deregister", ahead=1)) == "bad_signature"
    assert check.send(check.event({"node": "ann"}, "node_deregister", JOIN, ahead=1)) == "bad_signature"
    assert check.send(check.event({"node": "ann"}, "node_deregister", OPERATOR, ahead=1)) == "operator"


@pytest.mark.parametrize("key", ["type", "data", "signature"])
def test_what_was_altered_is_refused(check, key):
    event = json.loads(check.event())
    other = {"type": "node_deregister", "data": {"node": "ann"}, "signature": event["signature"] + "0"}
    assert check.send(json.dumps(event | {key: other[key]}).encode()) == "bad_signature"


def test_without_a_signature_an_event_is_refused_where_it_is_required(check):
    bare = json.dumps({"type": "node_heartbeat", "data": BEAT}).encode()
    assert check.send(bare) == "unsigned"
    assert check.send(b'{"type": "node_heartbeat", "data": {"node": "ann", "sequence": NaN}}') == "unsigned"
    check.required = False
    assert check.send(bare) == "None"
    assert check.send(check.event(token="x")) == "bad_signature"


@pytest.mark.parametrize("signature", [7, "", "t=1", [], {"t": 1}])
def test_what_is_no_signature_is_refused(check, signature):
    assert (
        check.send(json.dumps({"type": "node_heartbeat", "data": BEAT, "signature": signature}).encode())
        == "bad_signature"
    )


def test_an_event_counts_once(check):
    """Neither again nor out of order; nor, after a restart, once it is old."""
    first, second = check.event(), check.event(ahead=1)
    assert [check.send(first), check.send(first)] == ["node ann", "stale_signature"]
    assert [check.send(second), check.send(first)] == ["node ann", "stale_signature"]
    check.clock.advance(62)
    assert Check.send(check, second) == "stale_signature"
    check.check = SignatureCheck(lambda: check.keyring, lambda: True, check.clock)
    assert check.send(second) == "stale_signature"


def test_what_was_received_before_a_restart_is_not_received_again(check):
    """We do not know what that was; so nobody's first event may be older than we are. The node's next one counts."""
    leaving, beat = check.event({"node": "ann"}, "node_deregister"), check.event(ahead=1)
    check.clock.advance(2)
    check.check = SignatureCheck(lambda: check.keyring, lambda: True, check.clock)
    assert [check.send(leaving), check.send(beat)] == ["stale_signature", "stale_signature"]
    check.clock.advance(5)
    assert [check.send(leaving), check.send(beat)] == ["stale_signature", "stale_signature"]
    behind = check.event(ahead=-4)
    assert check.send(behind) == "node ann"
    assert [check.send(leaving), check.send(beat)] == ["stale_signature", "stale_signature"]


def test_a_clock_that_is_behind_is_waited_for(check):
    """By as much as it is behind, after a start; and a jump of our own clock meanwhile changes nothing."""
    check.clock.jump_wall(-3600)
    check.clock.advance(30)
    assert check.send(check.event(ahead=-50)) == "stale_signature"
    check.clock.advance(21)
    assert check.send(check.event(ahead=-50)) == "node ann"


def test_of_many_signers_those_are_forgotten_that_were_received_longest_ago(check, monkeypatch):
    monkeypatch.setattr("exporter.bus.signatures.MAX_SIGNERS", 2)

    def beat_of(name):
        at_ms = check.clock.wall_ns() // 1_000_000
        return check.send(signed_event(node_token(JOIN, name), "node_heartbeat", name, {"node": name}, at_ms))

    latest = check.event(ahead=1)
    assert [beat_of("ann"), beat_of("bob"), check.send(latest)] == ["node ann", "node bob", "node ann"]
    assert beat_of("cid") == "node cid"
    assert check.send(latest) == "stale_signature"


def test_clocks_may_differ_a_little_and_ours_may_jump(check):
    """A node that was received goes on being received, by the time since then."""
    assert check.send(check.event(ahead=50)) == "node ann"
    check.clock.advance(30)
    check.clock.jump_wall(3600)
    assert check.send(check.event(ahead=50 - 3600)) == "node ann"
    assert check.send(check.event(token=OPERATOR, ahead=61)) == "stale_signature"


def test_a_second_data_or_node_deceives_nobody(check):
    """Whatever is read of an event that says two things is what was signed."""
    honest = json.loads(check.event())
    text = json.dumps(honest)[:-1]
    for more in ('"data": {"node": "bob"}', '"d\\u0061ta": {"node": "bob"}'):
        with contextlib.suppress(Unreadable):
            assert check.send(f"{text}, {more}}}".encode()) == "bad_signature"
