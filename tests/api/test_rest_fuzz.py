from __future__ import annotations

import asyncio
import json
from urllib.parse import quote

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.api.app import create_app
from tests.api.fakeservice import FakeService
from tests.support.asgi import Client
from tests.support.examples import examples

HOSTILE = st.one_of(
    st.sampled_from(
        [
            "",
            "\x00",
            "a\nb",
            'a"b',
            "a\\b",
            "\u202eabc",
            "\ud800",
            "__name__",
            "le",
            "☃😀",
            "x" * 300,
            "{}",
            "../..",
            "%s",
        ]
    ),
    st.text(max_size=20),
)
NUMBERS = st.one_of(st.integers(), st.floats(), st.sampled_from([10**39, 10**41, -1, 2**63, 1e308]))
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | HOSTILE,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(HOSTILE, inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(["n1", "n2"])
REGISTRATIONS = st.fixed_dictionaries(
    {"name": NAMES},
    optional={
        "role": HOSTILE,
        "vpn_ip": HOSTILE | st.sampled_from(["10.0.0.1", "::1", "fe80::1%eth0", "dynamic", "010.0.0.1"]),
        "public_ip": HOSTILE,
        "capabilities": st.dictionaries(
            st.sampled_from(["gpu", "gpu_count", "gpu_type", "gpu_memory"]) | HOSTILE, JSON
        ),
        "metadata": st.dictionaries(st.sampled_from(["os", "site", "environment", "cost_per_hour"]) | HOSTILE, JSON),
        "node_id": HOSTILE,
        "links": JSON | st.lists(st.fixed_dictionaries({"target": NAMES, "type": HOSTILE}), max_size=3),
        "ttl": HOSTILE | st.sampled_from(["1s", "999999y"]),
    },
)
HEARTBEATS = st.fixed_dictionaries(
    {},
    optional={
        "node": NAMES | HOSTILE,
        "status": HOSTILE | st.sampled_from(["active", "draining", "sleeping"]),
        "timestamp": NUMBERS | HOSTILE | st.sampled_from(["0001-01-01T00:00:00+23:59", "2025-10-06T12:00:00Z"]),
        "sequence": NUMBERS,
        "gpus": JSON
        | st.lists(st.fixed_dictionaries({"index": st.integers(0, 3)}, optional={"uuid": HOSTILE}), max_size=3),
    },
)
LEAVES = st.fixed_dictionaries(
    {}, optional={"reason": HOSTILE, "until": HOSTILE | st.sampled_from(["1h", "999999y", "9999-12-31T23:59:59-23:59"])}
)
VALUES = st.one_of(JSON, REGISTRATIONS, HEARTBEATS, LEAVES, st.lists(HEARTBEATS, max_size=3))
BODIES = st.one_of(
    st.binary(max_size=60),
    VALUES.map(lambda value: json.dumps(value).encode()),
    VALUES.map(lambda value: json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass")),
    st.lists(VALUES, max_size=3).map(lambda values: b"\n".join(json.dumps(value).encode() for value in values)),
    st.just(b"[" * 100_000),
    st.just(b'{"a":' * 5_000),
    st.just(b"1" * 5_000),
)
WRITES = st.sampled_from(
    [
        ("POST", "/nodes/register"),
        ("POST", "/nodes/n1/heartbeat"),
        ("POST", "/heartbeats"),
        ("PUT", "/nodes/n1/maintenance"),
        ("PUT", "/nodes/n2/drain"),
        ("DELETE", "/nodes/n2"),
        ("DELETE", "/nodes/n1/maintenance"),
        ("POST", "/-/reload"),
    ]
)
READS = st.sampled_from(["/nodes", "/sd/prometheus", "/metrics", "/nodes/n1/transitions", "/topology", "/health"])
PARAMETERS = st.sampled_from(
    ["role", "status", "gpu", "environment", "site", "vpn_ip", "min_free_vram_gb", "min_gpus", "sort", "limit", "after"]
)


def check(answer):
    """Whatever was sent, the caller is at fault or nobody, and what comes back can be read."""
    assert 200 <= answer.status < 500, answer.body
    if answer.status >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert problem["status"] == answer.status
        assert problem["detail"]
        for error in problem.get("errors", []):
            assert set(error) == {"field", "message"}
            assert len(error["message"]) < 600
            assert error["message"].isprintable()


@settings(max_examples=examples(300), deadline=None)
@given(
    st.lists(
        st.tuples(WRITES, BODIES, st.sampled_from(["application/json", "application/x-ndjson"])), min_size=1, max_size=6
    )
)
def test_no_body_breaks_anything(writes):
    """Each is taken in or refused by name, and all that the registry shows can be read after it."""
    service = FakeService()
    with asyncio.Runner() as runner:
        client = Client(create_app(service), runner=runner)
        client.post("/nodes/register", {"name": "n1"})
        for (method, path), body, content_type in writes:
            check(client.call(method, path, body, headers={"content-type": content_type}))
            for shown in ("/nodes", "/topology", "/stats", "/sd/prometheus", "/nodes/n1/why"):
                answer = client.get(shown)
                check(answer)
                answer.json()
            client.get("/metrics").body.decode()
        service.pass_time(1)
        for name, document in client.get("/nodes").json()["nodes"].items():
            assert document["name"] == name


@settings(max_examples=examples(300), deadline=None)
@given(READS, st.lists(st.tuples(PARAMETERS | HOSTILE.map(str), HOSTILE), max_size=4))
def test_no_query_breaks_anything(path, parameters):
    """Each is understood or refused by name."""
    query = "&".join(
        f"{quote(name, errors='surrogatepass')}={quote(value, errors='surrogatepass')}" for name, value in parameters
    )
    with asyncio.Runner() as runner:
        client = Client(create_app(FakeService()), runner=runner)
        client.post("/nodes/register", {"name": "n1", "vpn_ip": "10.0.0.1"})
        check(client.get(f"{path}?{query}"))


@settings(max_examples=examples(200), deadline=None)
@given(
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "BREW"]),
    st.sampled_from(["/nodes/{}", "/nodes/{}/heartbeat", "/nodes/{}/why", "/nodes/{}/drain", "/{}", "/nodes/{}/{}"]),
    HOSTILE,
    st.dictionaries(
        st.sampled_from(
            [
                "accept",
                "accept-encoding",
                "origin",
                "x-request-id",
                "traceparent",
                "if-none-match",
                "sec-fetch-site",
                "x-forwarded-for",
            ]
        ),
        st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="\x7f"), max_size=40),
    ),
)
def test_no_path_and_no_header_breaks_anything(method, template, part, headers):
    """Nor any method; and no header of an answer can be split."""
    path = template.format(*[quote(part, errors="surrogatepass", safe="")] * 2)
    with asyncio.Runner() as runner:
        client = Client(create_app(FakeService()), runner=runner)
        client.post("/nodes/register", {"name": "n1"})
        answer = client.call(method, path, headers=headers)
        if method != "HEAD":
            check(answer)
        assert not [value for value in answer.headers.values() if "\n" in value or "\r" in value or "\x00" in value]
