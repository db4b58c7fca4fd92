from __future__ import annotations

import contextlib
import logging
import socket
from dataclasses import replace

import pytest

from exporter.api import browsers
from exporter.api.documents import Renderer
from exporter.api.problems import Problem
from exporter.domain.config import Limits, Web
from exporter.telemetry.logs import LogfmtFormatter

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def log(monkeypatch):
    """The lines that are logged, as the log has them."""
    lines = []
    formatter = LogfmtFormatter()
    logger = logging.getLogger("exporter.api.middleware")
    monkeypatch.setattr(logger, "handle", lambda record: lines.append(formatter.format(record)))
    return lines


@pytest.fixture
def break_node_map(service, monkeypatch):
    """An error of ours in every handler that reads the map."""

    def fail(*_):
        raise RuntimeError("the secret of our inside")

    monkeypatch.setattr(service.node_map, "get", fail)
    monkeypatch.setattr(service.node_map, "heartbeat", fail)


@pytest.mark.parametrize("given", ["abc-123", "a" * 128, "00-aa.b_c~d:e/f+g=h@i"])
def test_a_callers_request_id_comes_back(client, given):
    """As it was given."""
    assert client.get("/health", x_request_id=given).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "a" * 129, "a b", "a\tb", 'a"b', "ä", "a;b"])
def test_a_request_id_that_is_not_sane_is_replaced(client, given):
    """A log line cannot be forged by it."""
    answered = client.get("/health", x_request_id=given).headers["x-request-id"]

    assert answered not in ("", given)


def test_every_answer_has_an_id_of_its_own(client):
    """Heartbeats, errors and pieces of lists too."""
    answers = [
        client.get("/nodes"),
        client.get("/nothing"),
        client.post("/nodes/n1/heartbeat"),
        client.post("/nodes/register", b"{"),
        client.call("OPTIONS", "/nodes"),
        client.call("HEAD", "/metrics"),
    ]

    assert len({answer.headers["x-request-id"] for answer in answers}) == len(answers)


@pytest.mark.usefixtures("break_node_map")
@pytest.mark.parametrize(("method", "path"), [("GET", "/nodes/n1"), ("POST", "/nodes/n1/heartbeat")])
def test_an_error_of_ours_is_logged_and_not_shown(client, log, method, path):
    """500 as a problem document; the log has the cause, the ids, and the node that called."""
    client.post("/nodes/register", {"name": "caller", "vpn_ip": "10.0.0.4"})
    client.peer = "10.0.0.4"
    answer = client.call(
        method, path, headers={"x-request-id": "r-1", "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    )

    assert (answer.status, answer.json()["type"]) == (500, "urn:aurora:problem:internal")
    assert b"secret" not in answer.body
    [line] = log
    for part in (f'msg="{method} {path} failed"', "request_id=r-1", f"trace_id={TRACE}", "node=caller", "the secret"):
        assert part in line


def test_an_error_amid_a_long_answer_is_no_part_of_it(client, log, monkeypatch):
    """It is rendered before it is sent, so the caller gets a problem and nothing else."""
    client.post("/nodes/register", {"name": "n1"})
    monkeypatch.setattr(Renderer, "document", lambda *_: 1 / 0)
    answer = client.get("/nodes")

    assert (answer.status, answer.json()["type"]) == (500, "urn:aurora:problem:internal")
    assert "ZeroDivisionError" in log[0]


@pytest.mark.usefixtures("break_node_map")
@pytest.mark.parametrize(
    "traceparent", ["", "00", f"00-{'0' * 32}-00f067aa0ba902b7-01", f"00-{TRACE.upper()}-00f067aa0ba902b7-01"]
)
def test_a_trace_that_is_none_is_not_logged(client, log, traceparent):
    """By the W3C's rules."""
    client.get("/nodes/n1", traceparent=traceparent)

    assert "trace_id" not in log[0]


@pytest.mark.usefixtures("break_node_map")
def test_the_node_that_called_is_known_by_its_address(client, log):
    """Whichever node has it now, however it is written; nobody once that node left."""
    client.peer = "fd00::4"
    client.post("/nodes/register", {"name": "old", "vpn_ip": "FD00:0::4"})
    client.get("/nodes/n1")
    client.post("/nodes/register", {"name": "old", "vpn_ip": "10.0.0.1"})
    client.get("/nodes/n1")
    client.post("/nodes/register", {"name": "new", "vpn_ip": "fd00::4"})
    client.get("/nodes/n1")
    client.post("/nodes/register", {"name": "newer", "vpn_ip": "fd00::4"})
    client.delete("/nodes/new")
    client.get("/nodes/n1")
    client.delete("/nodes/newer")
    client.get("/nodes/n1")

    found = [line.partition(" node=")[2].partition(" ")[0] for line in log]
    assert found == ["old", "", "new", "newer", ""]


def test_what_answers_nowhere(client):
    """404 as a problem document, which lists what does answer."""
    answer = client.get("/nope")

    assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json")
    document = answer.json()
    assert (document["type"], document["title"], document["status"]) == ("about:blank", "Not Found", 404)
    said, _, paths = document["detail"].partition("; there are ")
    assert said == "nothing answers at this path"
    assert {"/", "/nodes", "/nodes/{name}/heartbeat", "/metrics"} <= set(paths.split(", "))


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/nodes/n1", "DELETE, GET, HEAD, OPTIONS"),
        ("GET", "/nodes/n1/heartbeat", "OPTIONS, POST"),
        ("GET", "/nodes/n1/drain", "DELETE, OPTIONS, PUT"),
        ("DELETE", "/nodes", "GET, HEAD, OPTIONS"),
        ("PUT", "/nodes/register", "DELETE, GET, HEAD, OPTIONS, POST"),
    ],
)
def test_a_method_that_a_path_does_not_have(client, method, path, allow):
    """405 with all that it does have."""
    answer = client.call(method, path)

    assert (answer.status, answer.headers["allow"]) == (405, allow)
    assert answer.json()["detail"] == f"expected one of {allow} at this path"


@pytest.mark.parametrize(
    ("path", "allow"), [("/nodes", "GET, HEAD, OPTIONS"), ("/nodes/n1/drain", "DELETE, OPTIONS, PUT"), ("*", "OPTIONS")]
)
def test_options_names_the_methods_of_a_path(client, path, allow):
    """As a refusal of another method does."""
    answer = client.call("OPTIONS", path)

    assert (answer.status, answer.headers["allow"]) == (204, allow)


@pytest.mark.parametrize("path", ["/nodes/", "/nodes/a/b", "/nodes/a/b/heartbeat", "/nodes//heartbeat", "//"])
def test_other_spellings_of_paths_are_not_guessed(client, path):
    """404 and no redirection."""
    assert client.call("POST", path).status == 404


@pytest.mark.parametrize("path", ["/nodes/register", "/nodes/n1/heartbeat", "/heartbeats"])
@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp"]
)
def test_a_body_is_json(client, path, content_type):
    """415 with what is expected: no page of another site can send that unasked."""
    answer = client.call("POST", path, b"{}", headers={"content-type": content_type} if content_type else {})

    assert answer.status == 415
    assert answer.headers["accept"].startswith("application/json")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/nodes/n1/heartbeat"),
        ("POST", "/heartbeats"),
        ("PUT", "/nodes/n1/drain"),
        ("POST", "/nodes/register"),
        ("DELETE", "/nodes/n1"),
    ],
)
def test_a_body_that_turns_out_to_be_empty_needs_no_type(client, register, method, path):
    """As one that is announced as empty; what is there without a type is refused, and changes nothing."""
    register("n1")
    before = client.get("/nodes").json()["nodes"]["n1"]

    assert client.call(method, path, [b"", b"{}"]).status == 415
    assert client.get("/nodes").json()["nodes"]["n1"] == before
    assert client.call(method, path, [b"", b""]).status == client.call(method, path).status != 415


def test_who_leaves_before_the_body_ends_changes_nothing(client, register):
    """It might not have been empty."""
    register("n1")

    async def leave():
        return {"type": "http.disconnect"}

    async def send(_):
        raise AssertionError("nobody is there to be answered")

    headers = [(b"host", b"registry"), (b"transfer-encoding", b"chunked")]
    scope = {"type": "http", "method": "DELETE", "path": "/nodes/n1", "headers": headers, "client": ("127.0.0.1", 1)}
    client.runner.run(client.app(scope | {"query_string": b"", "scheme": "http"}, leave, send))
    assert client.get("/nodes/n1").status == 200


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON", "application/json;"])
def test_parameters_of_the_content_type_are_fine(client, content_type):
    """JSON is UTF-8 whatever they say."""
    answer = client.call("POST", "/nodes/register", b'{"name": "n1"}', headers={"content-type": content_type})

    assert answer.status == 201


def test_lines_are_for_heartbeats_alone(client):
    """415 elsewhere."""
    assert client.post("/nodes/register", b"{}", content_type="application/x-ndjson").status == 415


@pytest.mark.parametrize("encoding", ["identity", "Identity", "", "identity, IDENTITY"])
def test_an_encoding_that_changes_nothing_is_taken(client, encoding):
    """RFC 9110 reserves `identity` for it."""
    assert client.post("/nodes/register", {"name": "n1"}, content_encoding=encoding).status == 201


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip", "zip-bomb"])
def test_encoded_bodies_are_not_unpacked(client, encoding):
    """415, so that none can burst."""
    answer = client.post("/nodes/register", {"name": "n1"}, content_encoding=encoding)

    assert (answer.status, answer.headers["accept-encoding"]) == (415, "identity")


@pytest.mark.parametrize(
    ("body", "length"),
    [(b"{" + b" " * 100 + b"}", None), ([b"{", b" " * 60, b" " * 60, b"}"], None), (b"{}", "9" * 30), (b"{}", "101")],
)
@pytest.mark.parametrize("path", ["/nodes/register", "/nodes/n1/heartbeat", "/heartbeats"])
def test_bodies_have_a_limit(client, service, path, body, length):
    """413, by what a request announces or by what arrives of a chunked one."""
    service.set_config(limits=replace(Limits(), max_body=100))
    headers = {"content-type": "application/json"} | ({"content-length": length} if length else {})
    answer = client.call("POST", path, body, headers=headers)

    assert answer.status == 413
    assert "at most 100 bytes (limits.max_body)" in answer.json()["detail"]


def test_a_body_in_pieces_is_one_body(client):
    """Chunked, up to the limit."""
    answer = client.call(
        "POST", "/nodes/register", [b'{"na', b'me": ', b'"n1"}', b""], headers={"content-type": "application/json"}
    )

    assert answer.status == 201


OURS = "10.0.0.1:9999"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "same-origin", "origin": f"http://{OURS}"}, 204),
        ({"sec-fetch-site": "same-origin", "origin": "http://evil.example"}, 403),
        ({"sec-fetch-site": "none"}, 204),
        ({"origin": f"http://{OURS}"}, 204),
        ({"origin": f"https://{OURS}"}, 204),
        ({"origin": "http://10.0.0.1:80"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": f"http://{OURS}.evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "null", "host": ""}, 403),
        ({}, 204),
    ],
)
@pytest.mark.parametrize(
    "write",
    [
        ("POST", "/nodes/n1/heartbeat", None),
        ("POST", "/nodes/n1/heartbeat", b'{"status": "active"}'),
        ("PUT", "/nodes/n1/maintenance", b'{"until": "1h"}'),
        ("DELETE", "/nodes/n1", None),
    ],
)
def test_pages_of_other_origins_cannot_write(client, register, write, headers, status):
    """Whatever the method and the type: browsers say which origin a write is from."""
    register("n1")
    method, path, body = write
    about = {"content-type": "application/json"} if body else {}
    answer = client.call(method, path, body, headers={"host": OURS, **about, **headers})

    assert answer.status == (200 if method == "PUT" and status == 204 else status), answer.body


def test_a_preflight_allows_reads_only(client):
    """A page of another origin cannot even ask to send JSON."""
    headers = client.call("OPTIONS", "/nodes/register", headers={"origin": "http://evil.example"}).headers

    assert headers["access-control-allow-methods"] == "GET, HEAD, OPTIONS"
    assert "content-type" not in headers["access-control-allow-headers"].lower()


@pytest.mark.parametrize(
    ("host", "browser", "taken"),
    [
        ("10.0.0.1:9999", True, True),
        ("[fd00::1]:9999", True, True),
        ("localhost:9999", True, True),
        ("registry.localhost", True, True),
        (socket.gethostname(), True, True),
        ("registry.example.org:9999", True, True),
        ("a.mesh.example.", True, True),
        ("listener.example:9999", True, True),
        ("mesh.example", True, False),
        ("rebind.test:9999", True, False),
        ("rebind.test:9999", False, False),
        ("10.0.0.1.rebind.test", False, False),
        ("10.0.0.1%.rebind.test", True, False),
        ("10.0.0.1%rebind.test:9999", False, False),
        ("[fe80::1%25eth0]:9999", True, True),
        ("node-registry:9999", True, False),
        ("node-registry:9999", False, True),
        ("a" * 5000 + ".example", False, False),
    ],
)
def test_writes_are_taken_under_our_own_names(client, service, host, browser, taken):
    """A name that was rebound to our address is useless; single names of a VPN or of containers serve programs."""
    names = ("registry.example.org", "*.mesh.example")
    service.set_config(web=replace(Web(), listen_address="listener.example:80", allowed_hosts=names))
    page = {"origin": f"http://{host}"} if browser else {}
    headers = {"host": host, "content-type": "application/json", **page}
    answer = client.call("POST", "/nodes/register", b'{"name": "n1"}', headers=headers)

    assert answer.status == (201 if taken else 403)
    if not taken:
        assert answer.json()["type"] == "urn:aurora:problem:unknown-host"
        assert "web.allowed_hosts" in answer.json()["detail"]
        assert service.telemetry.requests_refused["unknown_host"] == 1
    assert client.call("GET", "/nodes", headers={"host": host}).status == 200


@pytest.mark.parametrize("path", ["/nodes", "/nodes/n1", "/metrics", "/nothing", "/nodes?x=y"])
def test_any_origin_may_read(client, path):
    """Errors too; never with credentials."""
    headers = client.get(path, origin="https://grafana.example").headers

    assert headers["access-control-allow-origin"] == "*"
    assert headers["access-control-expose-headers"] == "ETag, X-Request-ID"
    assert "access-control-allow-credentials" not in headers


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://a.example", True),
        ("https://aXexample", False),
        ("https://a.example.evil", False),
        ("http://x/https://a.example", False),
    ],
)
def test_origins_may_be_chosen(client, service, origin, allowed):
    """By an expression that matches the whole origin; caches see that the answer depends on it."""
    service.set_config(web=replace(service.config.web, cors_origin=r"https://a\.example"))
    headers = client.get("/nodes", origin=origin).headers

    assert headers.get("access-control-allow-origin") == (origin if allowed else None)
    assert headers["vary"] == "Origin"


def test_a_preflight(client):
    """204; only reads are allowed, so that a browser refuses to send a write."""
    answer = client.call(
        "OPTIONS", "/nodes/n1", headers={"origin": "https://x.example", "access-control-request-method": "DELETE"}
    )

    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-methods"] == "GET, HEAD, OPTIONS"
    assert "If-None-Match" in answer.headers["access-control-allow-headers"]


def test_without_an_origin_nothing_is_said_of_origins(client, register):
    """Nor on writes."""
    register("n1")
    plain = client.get("/nodes").headers
    write = client.post("/nodes/n1/heartbeat", {}, origin="http://registry").headers

    assert not [name for name in {**plain, **write} if name.startswith("access-control")]


def test_browsers_do_not_guess_types(client):
    """Whatever a node says of itself stays what its type says."""
    assert {client.get(path).headers["x-content-type-options"] for path in ("/nodes", "/nope", "/")} == {"nosniff"}


@pytest.mark.parametrize(
    ("full", "taken"),
    [("Mesh1.example.org.", True), ("evil.example.org", False), ("mesh1", False)],
    ids=["with its domain", "of another machine", "without a domain"],
)
def test_the_name_of_this_machine_with_its_domain(monkeypatch, full, taken):
    """As the resolver has it, once it has answered; never a name that is another machine's."""
    monkeypatch.setattr(socket, "gethostname", lambda: "mesh1")
    monkeypatch.setattr(socket, "getfqdn", lambda: full)
    browsers._full_name.cache_clear()
    try:
        hosts = browsers.Hosts()
        browsers._full_name().result(10)
        with contextlib.nullcontext() if taken else pytest.raises(Problem, match="mesh1"):
            hosts.check(Web(), {b"host": b"mesh1.example.org:9999"}, browser=True)
    finally:
        browsers._full_name.cache_clear()


@pytest.mark.parametrize("letters", [24, 60, 250, 100_000])
def test_no_origin_takes_long_to_match(client, service, letters):
    """A pattern that backtracks would not come to an end with it."""
    service.set_config(web=replace(Web(), cors_origin=r"https?://([a-z0-9-]+\.?)+example\.com"))
    answer = client.get("/health", origin=f"http://{'a' * letters}!")

    assert (answer.status, "access-control-allow-origin" in answer.headers) == (200, False)
