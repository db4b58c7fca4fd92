from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.domain import strictjson
from exporter.domain.clock import HOUR
from exporter.domain.errors import Fault, Invalid
from exporter.domain.registration import GIB, Link, Registration, parse_registration
from tests.support.seed_mesh import REGISTRATIONS

SEED = REGISTRATIONS["vengeance"]

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.just("dynamic")
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner), max_leaves=8
)
NAMES = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", fullmatch=True)
ADDRESSES = st.ip_addresses().map(str) | st.sampled_from(["dynamic", ""])
LABELS = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp", "Cf"]), max_size=256)
AMOUNTS = st.floats(0, 1e9) | st.integers(0, 10**9)


def free(known):
    """A JSON object of free keys, with some of the known ones."""
    keys = st.text().filter(lambda key: key not in known)
    values = st.none() | st.integers(-(10**30), 10**30) | st.floats(-1e300, 1e300) | st.text()
    other = st.dictionaries(keys, values)
    return st.tuples(other, st.fixed_dictionaries({}, optional=known)).map(lambda parts: {**parts[0], **parts[1]})


ACCEPTABLE: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"name": NAMES},
    optional={
        "role": NAMES,
        "vpn_ip": ADDRESSES,
        "public_ip": ADDRESSES,
        "capabilities": free(
            {
                "gpu": st.sampled_from([True]),
                "gpu_count": st.integers(0, 1_000_000),
                "gpu_type": LABELS,
                "gpu_memory": AMOUNTS,
            }
        ),
        "metadata": free({"os": LABELS, "environment": LABELS, "site": LABELS, "cost_per_hour": AMOUNTS}),
        "node_id": LABELS,
        "links": st.lists(st.fixed_dictionaries({"target": NAMES, "type": NAMES}), max_size=4),
        "ttl": st.sampled_from(["100ms", "72h", "292y", None]),
    },
)


def faults_of(value):
    with pytest.raises(Invalid) as caught:
        parse_registration(value)
    return caught.value.faults


def test_the_first_registration_ever_written_is_understood():
    assert parse_registration(SEED) == Registration(
        name="vengeance",
        role="compute",
        vpn_ip="10.0.0.4",
        public_ip="",
        capabilities=msgspec.Raw(b'{"gpu":true,"gpu_count":1,"gpu_type":"RTX 4090","gpu_memory":24}'),
        metadata=msgspec.Raw(b'{"os":"ubuntu","docker_version":"24.0.7"}'),
        gpus=1,
        gpu_memory_bytes=24 * GIB,
        gpu_type="RTX 4090",
        os="ubuntu",
    )


def test_a_name_is_enough():
    assert parse_registration({"name": "a"}) == Registration(name="a", role="compute", environment="production")


def test_everything_that_may_be_said_is_kept():
    registration = parse_registration(
        {
            "name": "a",
            "node_id": "machine-1",
            "links": [{"target": "b", "type": "nfs"}, {"target": "b", "type": "nfs"}],
            "ttl": "1h",
            "metadata": {"environment": "test", "site": "berlin", "cost_per_hour": 0.44},
        }
    )

    assert registration.node_id == "machine-1"
    assert registration.links == (Link("b", "nfs"),)
    assert registration.ttl_ns == HOUR
    assert (registration.environment, registration.site) == ("test", "berlin")
    assert registration.cost_usd_per_hour == 0.44


@pytest.mark.parametrize(
    ("capabilities", "gpus"),
    [
        ({}, 0),
        ({"gpu": True}, 1),
        ({"gpu": False}, 0),
        ({"gpu": True, "gpu_count": 8}, 8),
        ({"gpu": True, "gpu_count": 0}, 0),
        ({"gpu": False, "gpu_count": 0}, 0),
        ({"gpu_count": 2}, 2),
    ],
)
def test_a_gpu_without_a_count_is_one(capabilities, gpus):
    assert parse_registration({"name": "a", "capabilities": capabilities}).gpus == gpus


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ([], Fault("", "expected a registration as a JSON object, got []")),
        ({}, Fault("name", "required")),
        ({"name": "a", "rol": "lead"}, Fault("rol", "not a known field here")),
        ({"name": "a", "role": 5}, Fault("role", "expected text, got 5")),
        ({"name": "a", "vpn_ip": "10.0.0"}, Fault("vpn_ip", "expected an IP address or 'dynamic', got '10.0.0'")),
        ({"name": "a", "capabilities": {"gpu": 1}}, Fault("capabilities.gpu", "expected true, false or null, got 1")),
        (
            {"name": "a", "capabilities": {"gpu_count": -1}},
            Fault("capabilities.gpu_count", "expected whole number >= 0, got -1"),
        ),
        (
            {"name": "a", "capabilities": {"gpu": False, "gpu_count": 2}},
            Fault("capabilities.gpu_count", "expected 0 where gpu is false, got 2"),
        ),
        (
            {"name": "a", "metadata": {"x": [float("nan")]}},
            Fault("metadata.x[0]", "expected a finite number, got nan"),
        ),
        ({"name": "a", "ttl": "99ms"}, Fault("ttl", "expected at least 100ms, got '99ms'")),
        ({"name": "a", "ttl": "293y"}, Fault("ttl", "expected a duration of at most 292 years, got '293y'")),
        (
            {"name": "a", "metadata": {"note": "x" * 65_536}},
            Fault("metadata", "expected at most 65536 bytes of JSON, got 65547"),
        ),
        ({"name": "a", "links": [{"target": "b"}]}, Fault("links[0].type", "required")),
        (
            {"name": "a", "metadata": {"cost_per_hour": "1"}},
            Fault("metadata.cost_per_hour", "expected number or null, got '1'"),
        ),
    ],
)
def test_what_is_wrong_is_named(value, fault):
    assert faults_of(value) == [fault]


def test_a_name_says_what_names_are_made_of():
    [fault] = faults_of({"name": "a b"})

    assert fault == Fault(
        "name",
        "expected 1 to 63 letters, digits, dots, underscores and hyphens, a letter or digit at each end, got 'a b'",
    )


def test_all_faults_of_well_shaped_fields_are_named_at_once():
    value = {"name": "a", "vpn_ip": "x", "public_ip": "y", "ttl": "soon", "metadata": {"site": "a\nb"}}

    assert [fault.field for fault in faults_of(value)] == ["vpn_ip", "public_ip", "metadata.site", "ttl"]


def test_all_faults_are_named_at_once_whatever_their_kind():
    """What has the wrong type keeps nothing else from being looked at; each field is named once."""
    value = {
        "name": "a b",
        "role": 1,
        "vpn_ip": "x",
        "ttl": 5,
        "rol": "lead",
        "stat": 1,
        "capabilities": {"gpu": 1, "gpu_count": -1, "gpu_type": "a\n"},
        "metadata": {"cost_per_hour": float("nan"), "site": 5},
    }

    assert {fault.field: fault.message.partition(", got")[0] for fault in faults_of(value)} == {
        "name": "expected 1 to 63 letters, digits, dots, underscores and hyphens, a letter or digit at each end",
        "role": "expected text",
        "vpn_ip": "expected an IP address or 'dynamic'",
        "ttl": "expected text or null",
        "rol": "not a known field here",
        "stat": "not a known field here",
        "capabilities.gpu": "expected true, false or null",
        "capabilities.gpu_count": "expected whole number >= 0",
        "capabilities.gpu_type": "expected no control, bidi-override or surrogate characters",
        "metadata.cost_per_hour": "expected a finite number",
        "metadata.site": "expected text or null",
    }
    assert len(faults_of(value)) == 11


def test_not_every_unknown_field_is_named():
    """A glance is enough."""
    assert len(faults_of({"name": "a"} | {f"k{number}": 0 for number in range(1000)})) == 50


@given(ACCEPTABLE)
def test_an_accepted_registration_survives_the_store(value):
    """What was acknowledged is read back as it was, whatever the node said."""
    registration = parse_registration(strictjson.loads(json.dumps(value).encode()))

    stored = msgspec.json.encode(registration)

    assert msgspec.json.decode(stored, type=Registration) == registration
    assert json.loads(bytes(registration.capabilities)) == value.get("capabilities", {})
    assert json.loads(bytes(registration.metadata)) == value.get("metadata", {})


@given(
    st.binary()
    | st.dictionaries(st.sampled_from([*SEED, "links", "node_id", "ttl", "x"]), VALUES).map(
        lambda value: json.dumps({"name": "a", **value}).encode()
    )
    | st.tuples(
        st.sampled_from(["capabilities", "metadata"]),
        st.dictionaries(
            st.sampled_from(["gpu", "gpu_count", "gpu_type", "gpu_memory", "os", "site", "cost_per_hour"]), SCALARS
        ),
    ).map(lambda part: json.dumps({"name": "a", part[0]: part[1]}).encode())
)
def test_any_bytes_are_a_registration_or_refused(body):
    """Never another exception; what is accepted survives the store, what is refused can be written out."""
    try:
        registration = parse_registration(strictjson.loads(body))
    except Invalid as error:
        assert_tellable(error)
    else:
        assert msgspec.json.decode(msgspec.json.encode(registration), type=Registration) == registration


def assert_tellable(error):
    assert error.faults
    assert str(error).encode().decode() == str(error)
