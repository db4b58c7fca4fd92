from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.domain import strictjson
from exporter.domain.errors import Fault, Invalid


def faults_of(body):
    with pytest.raises(Invalid) as caught:
        strictjson.loads(body)
    return caught.value.faults


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**38), 10**38)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON)
def test_json_is_read_as_it_was_written(value):
    assert strictjson.loads(json.dumps(value).encode()) == value


def test_a_byte_order_mark_is_overlooked():
    """Editors on Windows write one."""
    assert strictjson.loads(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


@given(st.binary() | st.text(alphabet='{}[]",:0123456789eE+-.\\u d8null').map(str.encode))
def test_any_bytes_are_read_or_refused(body):
    """Never another exception, and a refusal that can be encoded."""
    try:
        strictjson.loads(body)
    except Invalid as error:
        message = str(error)
    else:
        message = ""
    assert message.encode().decode() == message


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"", Fault("", "the body is not JSON: Expecting value at line 1 column 1")),
        (b'{"a": 1', Fault("", "the body is not JSON: Expecting ',' delimiter at line 1 column 8")),
        (b'"\xff"', Fault("", "the body is not UTF-8 (byte 1)")),
        (b"-" + b"9" * 5_000, Fault("", "expected an integer of at most 40 digits, got one of 5001")),
        (b'{"m": {"a": 1, "b": 2, "a": 3}}', Fault("m.a", "the key stands more than once in one object")),
        (b'{"a": {"b": 1, "b": 2}, "a": 3}', Fault("a", "the key stands more than once in one object")),
        (b'{"a": 1, "b": 2, "a": 3}', Fault("a", "the key stands more than once in one object")),
        (rb'{"\ud800": 1, "\ud800": 2}', Fault("\\ud800", "the key stands more than once in one object")),
        (rb'{"a": ["x", "\ud800"]}', Fault("a[1]", "expected text without lone surrogates, got '\\ud800'")),
        (rb'{"a": {"\ud800": 1}}', Fault("a", "expected keys without lone surrogates, got '\\ud800'")),
        (b'{"a": [0, ' + b"9" * 41 + b"]}", Fault("a[1]", "expected an integer of at most 40 digits, got one of 41")),
        (b'{"a": ' + b"[" * 40 + b"]" * 40 + b"}", Fault("a", "nested deeper than 32 levels")),
        (b"[" * 100_000, Fault("", "the body is nested deeper than 32 levels")),
    ],
)
def test_what_json_leaves_to_luck_is_refused_by_name(body, fault):
    assert faults_of(body) == [fault]


def test_nesting_of_32_levels_is_accepted():
    assert strictjson.loads(b"[" * 32 + b"]" * 32) is not None


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_cannot_be_written_are_left_to_the_caller(text):
    """A heartbeat may overlook one where a registration must refuse it."""
    value = strictjson.loads(f'{{"a": [0, {text}]}}'.encode())

    assert not math.isfinite(value["a"][1])
    with pytest.raises(Invalid) as caught:
        strictjson.reject_unwritable(value, "metadata")
    assert caught.value.faults[0].field == "metadata.a[1]"


@given(JSON)
def test_values_of_finite_numbers_can_be_written(value):
    strictjson.reject_unwritable(value, "")

    assert json.loads(json.dumps(value, allow_nan=False)) == value
