"""What means one thing to us and might mean another to a program on the way, or to another caller: by real sockets."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from ipaddress import ip_network
from zlib import crc32

import pytest

from exporter.api.app import create_app
from exporter.api.metrics import takes_gzip, wants_open_metrics
from exporter.api.nodes import MAX_TAGS
from exporter.api.trust import MAX_HOPS
from exporter.domain.config import Limits

LIKE_NOTHING = "environment=aAaaaAAaaaaAAAAaAaaaAAAAAAaaaaAAaaaaaaaa"
"""A query whose CRC-32 is that of no query."""
OPERATOR, JOIN = "operator-token-of-the-tests", "join-token-of-the-tests"


@pytest.fixture
def port(service, serve):
    return serve(create_app(service))


@pytest.fixture
def node(register):
    return register("v")


def ask(port, head, body=b"", host=b"Host: 127.0.0.1\r\n"):
    """The status of the answer to a request whose head this is."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        length = b"Content-Length: %d\r\n" % len(body) if body else b""
        connection.sendall(head + b"\r\n" + host + length + b"Connection: close\r\n\r\n" + body)
        received = b""
        while data := connection.recv(65_536):
            received += data
    assert received.count(b"HTTP/1.1 ") == 1
    return int(received[9:12])


async def first_done(tasks, number):
    """Wait until so many of them are."""
    left = set(tasks)
    while len(tasks) - len(left) < number:
        _, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("Origin", ("http://evil.test", "http://127.0.0.1")),
        ("Sec-Fetch-Site", ("cross-site", "same-origin")),
        ("Sec-Fetch-Mode", ("cors", "navigate")),
        ("Content-Type", ("text/plain", "application/json")),
        ("Content-Type", ("application/json", "application/json")),
        ("Content-Encoding", ("gzip", "identity")),
        ("Authorization", ("Bearer of-somebody", "Bearer of-somebody-else")),
        ("aUTHORIZATION", ("", "Bearer x")),
        ("X-Request-ID", ("a", "b")),
    ],
)
@pytest.mark.usefixtures("node")
@pytest.mark.parametrize("path", ["/nodes/register", "/nodes/v/heartbeat"])
def test_what_decides_stands_once(client, port, name, values, path):
    """400, whichever of the two would be taken; nothing is changed."""
    lines = "".join(f"\r\n{name}: {value}" for value in values)
    if name != "Content-Type":
        lines += "\r\nContent-Type: application/json"

    assert ask(port, f"POST {path} HTTP/1.1{lines}".encode(), b'{"name": "w"}') == 400
    assert list(client.get("/nodes").json()["nodes"]) == ["v"]
    assert 'requests_refused_total{reason="malformed"} 1.0' in client.get("/metrics").body.decode()


def test_what_decides_nothing_may_repeat(port):
    """As lists do. Source: RFC 9110 5.3."""
    assert ask(port, b"GET /nodes HTTP/1.1\r\nAccept: a/b\r\nAccept: */*\r\nCookie: a\r\nCookie: b") == 200


def test_neither_of_two_tokens_is_taken(tmp_path, client, port, service, register):
    """In both orders: a proxy that checks the first one would let the second pass."""
    register("v")
    for name, token in (("operator", OPERATOR), ("join", JOIN)):
        (tmp_path / name).write_text(token)
        (tmp_path / name).chmod(0o600)
        service.set_config(auth=replace(service.config.auth, **{f"{name}_token_file": str(tmp_path / name)}))
    lines = [b"\r\nAuthorization: Bearer " + token for token in (OPERATOR.encode(), b"anything-at-all")]

    for order in (lines, lines[::-1], [lines[0], lines[0]]):
        assert ask(port, b"DELETE /nodes/v HTTP/1.1" + b"".join(order)) == 400
    assert list(client.get("/nodes").json()["nodes"]) == ["v"]
    assert ask(port, b"DELETE /nodes/v HTTP/1.1" + lines[0]) == 204


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nodes%0a"),
        ("GET", "/health%0A"),
        ("GET", "/events%0a"),
        ("GET", "/nodes/v/why%0a"),
        ("POST", "/nodes/register%0a"),
        ("POST", "/heartbeats%0a"),
        ("POST", "/nodes/v/heartbeat%0a"),
        ("PUT", "/nodes/v/drain%0a"),
        ("DELETE", "/nodes/v%0a"),
        ("POST", "//nodes/register"),
        ("POST", "/nodes/w/..%2fv/heartbeat"),
    ],
)
def test_a_path_is_taken_as_it_is(port, register, method, path):
    """With a line feed behind it, it is another one: what is decided by the path must mean the one that answers."""
    register("v")
    assert ask(port, f"{method} {path} HTTP/1.1".encode()) in {404, 405}


def test_no_two_queries_share_an_answer(client, register):
    """They may come at the same moment: the answer is that of the own query, and so is its ETag."""
    register("v")
    assert crc32(LIKE_NOTHING.encode()) == crc32(b"")

    async def both():
        return await asyncio.gather(client.request("GET", f"/nodes?{LIKE_NOTHING}"), client.request("GET", "/nodes"))

    chosen, everything = client.runner.run(both())
    assert (list(chosen.json()["nodes"]), list(everything.json()["nodes"])) == ([], ["v"])
    assert chosen.headers["etag"] != everything.headers["etag"]


def test_those_who_choose_samples_do_not_keep_scrapes_waiting(client, service, register, monkeypatch):
    """As many choices as there can be wait, and whole scrapes are answered; those who follow are refused."""
    register("v")
    monkeypatch.setattr("exporter.api.renderings.REFUSED_AFTER", 0.0)
    exposition, free = service.exposition, asyncio.Event()

    async def slow(*, names, **options):
        if names is not None:
            await free.wait()
        return await type(exposition).scrape(exposition, names=names, **options)

    monkeypatch.setattr(exposition, "scrape", slow)

    async def play():
        choices = [asyncio.create_task(client.request("GET", f"/metrics?name[]=a{number}")) for number in range(70)]
        await first_done(choices, 6)
        whole = await client.request("GET", "/metrics")
        free.set()
        return whole.status, sorted(answer.status for answer in await asyncio.gather(*choices))

    assert client.runner.run(play()) == (200, [200] * 64 + [503] * 6)


def test_lists_in_headers_have_an_end(client, register):
    """Of what is negotiated, no more is looked at than programs send."""
    register("v")
    assert not takes_gzip("x," * 1000 + "gzip")
    assert takes_gzip("br, x, deflate, gzip;q=0.5")
    assert not wants_open_metrics("x," * 1000 + "application/openmetrics-text")
    etag = client.get("/nodes").headers["etag"]
    assert client.get("/nodes", if_none_match='"a", ' * (MAX_TAGS - 1) + etag).status == 304
    assert client.get("/nodes", if_none_match='"a", ' * MAX_TAGS + etag).status == 200


@pytest.mark.parametrize("path", ["/metrics?", "/nodes/register?", "/nodes?", "/events?"])
def test_queries_have_an_end(client, path):
    """400 above it, by whatever reads them."""
    method = "POST" if "register" in path else "GET"
    body = b'{"name": "v"}' if method == "POST" else None
    headers = {"content_type": "application/json"} if body else {}
    assert client.call(method, path + "a=b&" * 10_000, body, headers=headers).status == 400


def test_a_registration_takes_no_other_parameter_and_none_twice(client):
    answer = client.post("/nodes/register?heartbeat=true&heartbeat=false&x=1", {"name": "v"})
    assert (answer.status, [fault["field"] for fault in answer.json()["errors"]]) == (400, ["heartbeat", "x"])


def test_long_names_of_hosts_are_not_remembered(client):
    """Each would be, for as long as the registry runs."""
    hosts = client.app._hosts
    for number in range(50):
        assert client.post("/nodes/register", {"name": "v"}, host=f"{number}.{'x' * 1000}").status == 403
    assert not hosts._judged
    assert client.post("/nodes/register", {"name": "v"}, host="127.0.0.1").status == 201


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://127.0.0.1", 201), ("https://127.0.0.1", 201), ("chrome-extension://127.0.0.1", 403), ("127.0.0.1", 403)],
)
def test_an_origin_is_one_of_the_web(client, origin, status):
    """A proxy may have taken TLS off."""
    assert client.post("/nodes/register", {"name": "v"}, host="127.0.0.1", origin=origin).status == status


def test_a_long_chain_of_proxies_names_nobody(client, service):
    """Only its end is looked at."""
    proxies = (ip_network("127.0.0.1/32"), ip_network("10.9.9.9/32"))
    service.set_config(auth=replace(service.config.auth, trusted_proxies=proxies))
    for hops, status in ((MAX_HOPS, 201), (MAX_HOPS + 1, 403), (10_000, 403)):
        chain = ",".join(["10.9.9.9"] * hops)
        assert client.post("/nodes/register", {"name": f"n{hops}"}, x_forwarded_for=chain).status == status


def test_some_streams_are_kept_for_trusted_callers(client, service):
    """A stranger takes three quarters of them at most."""
    service.set_config(limits=replace(Limits(), max_event_streams=4))
    client.peer = "198.51.100.7"

    async def play():
        streams = [asyncio.create_task(client.request("GET", "/events")) for _ in range(4)]
        await first_done(streams, 1)
        refused = [task.result().status for task in streams if task.done()]
        client.peer = "127.0.0.1"
        friend = asyncio.create_task(client.request("GET", "/events"))
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(service.events) == 4
        service.events.stop()
        await asyncio.gather(friend, *streams)
        return refused

    assert client.runner.run(play()) == [503]
