"""The agent's own client of Redis: what it takes from servers of every kind, and what from hostile ones."""

from __future__ import annotations

import json
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import trustme

from demo.ports import free_port
from exporter.agent.bus import BusRegistry
from exporter.agent.busurl import parse_bus_url
from exporter.agent.exits import UsageError
from exporter.agent.logs import AgentLog
from exporter.agent.options import parse
from exporter.agent.program import Program
from exporter.agent.redis import Redis
from exporter.agent.resp import MAX_TEXT, BusFault, RespConnection
from exporter.domain.requestoutcome import Outcome
from tests.support.redis_server import RedisServer
from tests.support.server_process import until

CHANNEL = "aurora:events:global"
MIB = 2**20
LONG = 30.0


def soon() -> float:
    return time.monotonic() + LONG


@contextmanager
def hostile(*pieces: bytes, again: bytes = b"") -> Iterator[RespConnection]:
    """A connection to what says this, and then `again` without end."""
    ours, theirs = socket.socketpair()

    def say() -> None:
        try:
            for piece in pieces:
                theirs.sendall(piece)
            while again:
                theirs.sendall(again)
        except OSError:
            pass

    thread = threading.Thread(target=say, daemon=True)
    thread.start()
    try:
        yield RespConnection(ours)
    finally:
        ours.close()
        theirs.close()
        thread.join()


@pytest.mark.parametrize(
    ("piece", "again", "fault"),
    [
        (b"", b"x" * 4096, "a line has no end"),
        (b"*1000000000\r\n", b":1\r\n" * 1000, "more than 100 values"),
        (b"*1\r\n" * 5000, b"", "more than 100 values"),
        (b"HTTP/1.1 400 Bad Request\r\n", b"", "does not answer as a Redis does"),
        (b"$12x\r\n", b"", "does not answer as a Redis does"),
        (b"$" + b"9" * 100 + b"\r\n", b"", "does not answer as a Redis does"),
        (b":" + b"9" * 5000 + b"\r\n", b"", "does not answer as a Redis does"),
        (b"%1\r\n+a\r\n+b\r\n", b"", "does not answer as a Redis does"),
        (b"-NOPERM \x1b[2J\r\n", b"", r"it answers 'NOPERM \x1b[2J'"),
        (b"+OK\r\n", b"", "does not answer as a Redis does: b'OK'"),
        (b"*0\r\n", b"", "does not answer as a Redis does"),
        (b"$-1\r\n", b"", "does not answer as a Redis does"),
    ],
)
def test_what_is_no_answer_ends_the_connection(piece, again, fault):
    with hostile(piece, again=again) as connection, pytest.raises(BusFault) as raised:
        connection.number(soon(), "PUBLISH", "channel", "event")
    assert fault in str(raised.value)


def test_an_endless_text_takes_no_memory_and_has_an_end():
    """A gigabyte a second may come, for as long as an answer may take."""
    tracemalloc.start()
    try:
        with hostile(b"$100000000000000000\r\n", again=b"x" * MIB) as connection, pytest.raises(socket.timeout):
            connection.number(time.monotonic() + 0.3, "PUBLISH", "channel", "event")
        assert tracemalloc.get_traced_memory()[1] < 4 * MIB
    finally:
        tracemalloc.stop()


def test_what_drips_has_an_end_too():
    """Each byte comes in time, the whole does not."""
    ours, theirs = socket.socketpair()
    ended = threading.Event()

    def drip() -> None:
        while not ended.wait(0.01):
            theirs.sendall(b"1")

    thread = threading.Thread(target=drip)
    thread.start()
    with ours, theirs:
        with pytest.raises(socket.timeout):
            RespConnection(ours).call(time.monotonic() + 0.2, "PING")
        ended.set()
        thread.join()


def test_messages_of_others_are_passed_over_however_large():
    """They are not ours to judge, and the next one may be for us."""
    large, small = b"x" * (3 * MAX_TEXT), b"hello"
    stream = b"".join(b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$%d\r\n%b\r\n" % (len(data), data) for data in (large, small))
    with hostile(stream) as connection:
        assert connection.is_there(soon())
        assert connection.read(soon()) == [b"message", b"c", b""]
        assert connection.read(soon()) == [b"message", b"c", small]
        assert not connection.is_there(time.monotonic() + 0.01)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://h", "redis://h"),
        ("redis://user:p%40ss@h:1/0", "redis://h:1/0"),
        ("redis://:pass@[fd00::1]:6380", "redis://[fd00::1]:6380"),
        ("rediss://h:1/2?ssl_ca_certs=/etc/ca.pem", "rediss://h:1/2"),
        ("redis+sentinel://:p@a:1,b/aurora/3?sentinel_password=s", "redis+sentinel://a:1,b/aurora/3"),
        ("redis+cluster://a,b:2", "redis+cluster://a,b:2"),
    ],
)
def test_urls_of_the_registrys_kinds(url, shown):
    assert parse_bus_url(url).shown == shown


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [("10.0.0.1", [("10.0.0.1", 26379)]), ("[fd00::1],sentinel-2:7", [("fd00::1", 26379), ("sentinel-2", 7)])],
)
def test_sentinels_without_a_port_are_asked_at_their_own(hosts, expected):
    """Whatever they are called."""
    assert parse_bus_url(f"redis+sentinel://{hosts}/aurora").places == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hunter2",
        "http://hunter2@h",
        "redis://",
        "redis://hunter2@h",
        "redis://h:0",
        "redis://h:65536",
        "redis://a,b",
        "redis://h/name",
        "redis://h?hunter2=1",
        "redis://u:hunter2/x@h",
        "redis+sentinel://h",
        "redis+cluster://h/1",
        "redis://h\r\nhunter2",
        "redis://h?ssl_cert_reqs=none",
    ],
)
def test_what_is_no_such_url(url):
    """The password in it is not repeated."""
    with pytest.raises(UsageError, match=r"--event-bus \(AURORA_EVENT_BUS\): expected redis://") as raised:
        parse_bus_url(url)
    assert "hunter2" not in str(raised.value)


def test_files_of_tls_are_looked_at_at_once():
    with pytest.raises(UsageError, match=r"ssl_ca_certs.*/nowhere.pem cannot be used"):
        Redis(parse_bus_url("rediss://h?ssl_ca_certs=/nowhere.pem"))


def _received(url: str, server: RedisServer) -> None:
    """Whether what is published at this URL arrives there."""
    with socket.create_connection(("127.0.0.1", server.port)) as plain:
        listener = RespConnection(plain)
        if server.password:
            listener.call(soon(), "AUTH", server.password)
        listener.call(soon(), "SUBSCRIBE", CHANNEL)
        with closing(BusRegistry(url, CHANNEL)) as bus:
            for number in range(2):
                assert bus.heartbeat("n1", {"sequence": number}).ok
                kind, _, data = listener.read(soon())
                assert (kind, json.loads(data)["data"]) == (b"message", {"node": "n1", "sequence": number})


@pytest.mark.servers
def test_a_redis_with_a_password_behind_sentinels_with_another():
    with RedisServer(password="p@ss") as server:
        sentinel = RedisServer(sentinel=True, password="other")
        (sentinel.directory / "redis.conf").write_text(
            f"sentinel monitor aurora 127.0.0.1 {server.port} 1\nsentinel auth-pass aurora p@ss\nrequirepass other\n"
        )
        try:
            sentinel.start()
            _received(server.url.replace("p@ss", "p%40ss"), server)
            place = f"redis+sentinel://:p%40ss@127.0.0.1:{free_port()},127.0.0.1:{sentinel.port}"
            _received(f"{place}/aurora?sentinel_password=other", server)
            for wrong, said in (
                (f"{place}/nobody?sentinel_password=other", "the Sentinels know no master 'nobody'"),
                (f"{place}/aurora?sentinel_password=wrong", "WRONGPASS"),
                (server.url.replace("p@ss", "wrong"), "WRONGPASS"),
                (f"redis://127.0.0.1:{server.port}", "NOAUTH"),
            ):
                reply = BusRegistry(wrong, CHANNEL).heartbeat("n1", {})
                assert (reply.outcome, said in reply.reason) == (Outcome.UNREACHABLE, True), reply.reason
        finally:
            sentinel.close()


@pytest.mark.servers
def test_a_redis_over_tls(tmp_path):
    """With a certificate that each side knows; a stranger's is refused."""
    authority, port = trustme.CA(), free_port()
    ca, cert = tmp_path / "ca.pem", tmp_path / "cert.pem"
    authority.cert_pem.write_to_path(str(ca))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(cert))
    files = ("--tls-cert-file", str(cert), "--tls-key-file", str(cert), "--tls-ca-cert-file", str(ca))
    with RedisServer("--tls-port", str(port), *files) as server:
        url = f"rediss://127.0.0.1:{port}?ssl_ca_certs={ca}"
        reply = BusRegistry(url, CHANNEL).heartbeat("n1", {})
        assert reply.outcome is Outcome.UNREACHABLE
        _received(f"{url}&ssl_certfile={cert}", server)
        other = tmp_path / "other.pem"
        trustme.CA().cert_pem.write_to_path(str(other))
        reply = BusRegistry(f"rediss://127.0.0.1:{port}?ssl_ca_certs={other}", CHANNEL).heartbeat("n1", {})
        assert "ssl_ca_certs names its certificates" in reply.reason


@pytest.mark.servers
def test_what_is_no_request_does_not_end_the_listening():
    requests: list[int] = []
    request = {"type": "node_register_requested", "data": {"node": "n1"}}
    junk = ['["node_register_requested"]', '{"type":"node_register_requested","data":[]}', "[" * 100_000]
    with RedisServer() as server:
        bus = BusRegistry(server.url, CHANNEL)
        bus.listen("n1", lambda: requests.append(1), lambda _: threading.Event().wait())
        until(lambda: server.cli("PUBSUB", "NUMSUB", CHANNEL), [CHANNEL, 1])
        for payload in (*junk, "node_register_requested", "[" * 100_000 + "node_register_requested"):
            server.cli("PUBLISH", CHANNEL, payload)
        server.cli("PUBLISH", CHANNEL, json.dumps({**request, "data": {"node": "n2"}}))
        server.cli("PUBLISH", CHANNEL, json.dumps(request))
        until(lambda: len(requests), 1)
        assert server.cli("PUBSUB", "NUMSUB", CHANNEL) == [CHANNEL, 1]


def test_anybody_may_request_registrations_but_few_at_once(tmp_path, monkeypatch):
    """Else a hostile publisher would have all nodes register without a pause. None is forgotten."""
    monkeypatch.setenv("AURORA_STATE_DIR", str(tmp_path))
    arguments = parse(["--event-bus=redis://127.0.0.1:1", "--node-name=n1", "--log.level=error"])
    program = Program(arguments, AgentLog("error", "logfmt"))
    requests: list[Callable[[], None]] = []
    session: Any = SimpleNamespace(again=False)
    transport: Any = SimpleNamespace(listen=lambda _, requested, __: requests.append(requested))
    program._transport = transport
    program._listen(session)
    requests[0]()
    assert (session.again, program._wake.is_set()) == (True, True)
    session.again = False
    program._wake.clear()
    for _ in range(1000):
        requests[0]()
    assert (session.again, program._wake.is_set()) == (True, False)
