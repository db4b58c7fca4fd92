"""Tokens, TLS and passwords with the real programs: the registry, its agent, and Prometheus as it scrapes."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import ssl
import threading
import time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import requests
import trustme
import yaml
from redis import Redis

from exporter.domain.signing import node_token, signed_event
from tests.support.prometheus_server import PrometheusServer
from tests.support.registry_process import RegistryProcess, clean_env, program, run_program
from tests.support.server_process import until

pytestmark = pytest.mark.servers
JOIN, OPERATOR, READ = "join-token-of-the-tests", "operator-token-of-the-tests", "read-token-of-the-tests"
PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def ca():
    return trustme.CA()


@pytest.fixture(scope="module")
def stranger():
    """An authority that nobody trusts."""
    return trustme.CA()


class Secured(RegistryProcess):
    """A registry with a web-config.yml, in a directory with ca.crt; `credentials` are sent with each request."""

    def __init__(self, directory: Path, web: Any, *, auth: Any = None, **credentials: Any) -> None:
        self.web = directory / "web.yml"
        self.write_web(web)
        settings = {"web": {"config_file": str(self.web), "enable_lifecycle": True}, "auth": auth or {}}
        super().__init__(directory, settings=settings)
        self.credentials = credentials
        if "tls_server_config" in web:
            self.url = self.url.replace("http:", "https:")
            self.credentials["verify"] = str(directory / "ca.crt")

    def write_web(self, web: Any) -> None:
        """Replace the file."""
        self.web.write_text(yaml.safe_dump(web))

    def ask(self, method: str, path: str, **keywords: Any) -> requests.Response:
        """With the credentials."""
        return super().ask(method, path, **{**self.credentials, **keywords})


def token_files(directory, **tokens):
    """Their settings; each in a file of its own."""
    paths = {}
    for name, content in tokens.items():
        path = directory / f"{name}-token"
        path.write_text(content + "\n")
        path.chmod(0o600)
        paths[f"{name}_token_file"] = str(path)
    return paths


def identity(authority, directory, name, *names):
    """A certificate and its key, as files."""
    issued = authority.issue_cert(*names)
    certificate, key = directory / f"{name}.crt", directory / f"{name}.key"
    certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(str(key))
    return certificate, key


def trust(authority, directory, name="ca.crt"):
    path = directory / name
    authority.cert_pem.write_to_path(str(path))
    return path


def tls_config(directory, authority, **more):
    identity(authority, directory, "server", "127.0.0.1", "localhost")
    trust(authority, directory)
    return {"tls_server_config": {"cert_file": "server.crt", "key_file": "server.key", **more}}


def handshake(port, **wanted):
    """The version of TLS that is agreed on, after the server's first word."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for name, value in wanted.items():
        setattr(context, name, value)
    with socket.create_connection(("127.0.0.1", port), 10) as plain, context.wrap_socket(plain) as secured:
        secured.sendall(b"GET /-/healthy HTTP/1.0\r\n\r\n")
        assert secured.recv(1)
        return secured.version()


def scraped(prometheus):
    """The health of its targets, with what is wrong."""
    return [(target["health"], target["lastError"]) for target in prometheus.api("targets")["activeTargets"]]


def scrapes(registry, directory, **job):
    """Whether Prometheus scrapes the registry, and its samples arrive."""
    config = {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [
            {"job_name": "node-registry", "static_configs": [{"targets": [f"127.0.0.1:{registry.port}"]}], **job}
        ],
    }
    with PrometheusServer(directory / "prometheus", config) as prometheus:
        until(lambda: scraped(prometheus), [("up", "")])
        until(lambda: len(prometheus.query("aurora_registry_store_up")), 1)


def test_tls_with_client_certificates(tmp_path, ca, stranger):
    """Plain HTTP, old TLS, no certificate and a stranger's are refused; Prometheus, the CLI and the agent get in."""
    web = tls_config(tmp_path, ca, client_ca_file="ca.crt", client_auth_type="RequireAndVerifyClientCert")
    cert, key = identity(ca, tmp_path, "client", "prometheus.test")
    strange = identity(stranger, tmp_path, "stranger", "prometheus.test")
    with Secured(tmp_path, web, cert=(str(cert), str(key))) as registry:
        for refused in ({"cert": None}, {"cert": tuple(map(str, strange))}, {"verify": trust(stranger, tmp_path, "x")}):
            with pytest.raises(requests.ConnectionError):
                registry.get("/-/healthy", **refused)
        with pytest.raises(requests.ConnectionError):
            requests.get(f"http://127.0.0.1:{registry.port}/-/healthy", timeout=10)
        with pytest.raises((ssl.SSLError, ConnectionError)), pytest.warns(DeprecationWarning, match="TLSv1_1"):
            handshake(registry.port, maximum_version=ssl.TLSVersion.TLSv1_1)
        tls = {"ca_file": str(tmp_path / "ca.crt"), "cert_file": str(cert), "key_file": str(key)}
        scrapes(registry, tmp_path, scheme="https", tls_config=tls)
        options = [f"--{name.replace('_', '-')}={value}" for name, value in tls.items()]
        agent = run_program(
            [*program("agent"), "--once", f"--registry={registry.url}", "--node-name=v", *options],
            tmp_path,
            clean_env(XDG_STATE_HOME=str(tmp_path)),
        )
        reported = run_program([*program("cli"), f"--registry={registry.url}", *options, "nodes", "--json"], tmp_path)
        assert (agent.returncode, agent.stderr) == (0, agent.stderr)
        assert list(json.loads(reported.stdout)["nodes"]) == ["v"]
        assert "Traceback" not in registry.log


def test_only_clients_with_a_certain_name_are_let_in(tmp_path, ca):
    """client_allowed_sans; and a certificate may be left out where it is only verified if given."""
    web = tls_config(
        tmp_path,
        ca,
        client_ca_file="ca.crt",
        client_auth_type="RequireAndVerifyClientCert",
        client_allowed_sans=["prometheus.test"],
        min_version="TLS13",
    )
    good, other = (identity(ca, tmp_path, name, f"{name}.test") for name in ("prometheus", "other"))
    with Secured(tmp_path, web, cert=tuple(map(str, good))) as registry:
        with pytest.raises(requests.ConnectionError):
            registry.get("/-/healthy", cert=tuple(map(str, other)))
        del web["tls_server_config"]["client_allowed_sans"]
        web["tls_server_config"]["client_auth_type"] = "VerifyClientCertIfGiven"
        registry.write_web(web)
        registry.signal(signal.SIGHUP)
        until(lambda: registry.get("/-/healthy", cert=None).status_code, 200)
        assert handshake(registry.port) == "TLSv1.3"


def test_a_certificate_is_exchanged_without_a_restart(tmp_path, ca, stranger):
    """Within seconds; a half-written one leaves the old in force."""
    web = tls_config(tmp_path, ca)
    trust(stranger, tmp_path, "next.crt")
    with Secured(tmp_path, web) as registry:
        (tmp_path / "server.crt").write_text("half a certific")
        until(lambda: "the changed web configuration is refused" in registry.log, expected=True)
        assert registry.get("/-/healthy").status_code == 200
        identity(stranger, tmp_path, "server", "127.0.0.1")
        registry.signal(signal.SIGHUP)
        until(lambda: registry.get("/-/healthy", verify=str(tmp_path / "next.crt")).status_code, 200)
        with pytest.raises(requests.ConnectionError):
            registry.get("/-/healthy")


def test_passwords(tmp_path):
    """Prometheus scrapes with one; without, and with a wrong one, everything but the probes is 401."""
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode().replace("$2b$", "$2y$")
    web = {
        "basic_auth_users": {"prometheus": hashed},
        "http_server_config": {"headers": {"X-Frame-Options": "deny", "X-Content-Type-Options": "nosniff"}},
    }
    with Secured(tmp_path, web) as registry:
        assert registry.get("/nodes").status_code == 401
        assert registry.get("/nodes").headers["WWW-Authenticate"] == 'Basic realm="aurora"'
        assert registry.get("/metrics", auth=("prometheus", "wrong")).status_code == 401
        assert registry.get("/metrics", auth=("nobody", PASSWORD)).status_code == 401
        answer = registry.get("/metrics", auth=("prometheus", PASSWORD))
        assert (answer.status_code, answer.headers["X-Frame-Options"]) == (200, "deny")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert registry.ask("POST", "/nodes/register", json={"name": "v"}).status_code == 401
        written = registry.ask("POST", "/nodes/register", json={"name": "v"}, auth=("prometheus", PASSWORD))
        assert written.status_code == 201
        scrapes(registry, tmp_path, basic_auth={"username": "prometheus", "password": PASSWORD})
        entries = registry.get("/audit", auth=("prometheus", PASSWORD)).json()["entries"]
        assert entries[-1]["by"] == "user prometheus"
        assert PASSWORD not in registry.log
        registry.write_web({})
        registry.signal(signal.SIGHUP)
        until(lambda: registry.get("/nodes").status_code, 200)


def test_tokens(tmp_path):
    """Prometheus scrapes and discovers with the read token; an agent joins and sends with a token of its own."""
    auth = token_files(tmp_path, join=JOIN, operator=f"{OPERATOR} # alice", read=READ)
    with RegistryProcess(tmp_path, settings={"auth": auth}) as registry:
        assert registry.get("/metrics").status_code == 401
        reader = {"authorization": {"credentials_file": auth["read_token_file"]}}
        scrapes(registry, tmp_path, **reader)
        environment = clean_env(AURORA_TOKEN_FILE=auth["join_token_file"], XDG_STATE_HOME=str(tmp_path / "state"))
        agent = [*program("agent"), "--once", f"--registry={registry.url}", "--node-name=v"]
        first, second = (run_program(agent, tmp_path, environment) for _ in range(2))
        assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
        operator = clean_env(AURORA_TOKEN_FILE=auth["operator_token_file"], AURORA_REGISTRY=registry.url)
        drained = run_program([*program("cli"), "drain", "v"], tmp_path, operator)
        assert drained.returncode == 0, drained.stderr
        reported = registry.get("/audit", headers={"Authorization": f"Bearer {READ}"}).json()["entries"]
        assert [(entry["action"], entry["by"]) for entry in reported] == [
            ("drain", "operator alice"),
            ("register", "join"),
        ]
        assert not [token for token in (JOIN, OPERATOR, READ, node_token(JOIN, "v")) if token in registry.log]
        # Rotation, without a reload: both are accepted, then the old one is out.
        path = Path(auth["read_token_file"])
        path.write_text("another-token-of-the-tests\n")
        bearer = {"Authorization": "Bearer another-token-of-the-tests"}
        until(lambda: registry.get("/nodes", headers=bearer).status_code, 200)
        path.write_text("short\n")
        until(lambda: "changed tokens are refused" in registry.log, expected=True)
        assert registry.get("/nodes", headers=bearer).status_code == 200


def test_signed_events(tmp_path, redis_server):
    """Over a real bus: what nobody signed, and what was sent before, changes nothing."""
    auth = token_files(tmp_path, join=JOIN, operator=OPERATOR) | {"require_signed_events": True}
    channel = "aurora:events:global"
    with RegistryProcess(tmp_path, event_bus=redis_server.url, settings={"auth": auth}) as registry:
        until(lambda: registry.get("/health").json()["event_bus"], "up")
        event = signed_event(
            node_token(JOIN, "v"), "node_heartbeat", "v", {"node": "v", "role": "lead"}, time.time_ns() // 1_000_000
        )
        forged = json.dumps({"type": "node_heartbeat", "data": {"node": "w"}}).encode()
        with Redis.from_url(redis_server.url) as client:
            for payload in (event, event, forged, event.replace(b'"v"', b'"w"')):
                client.publish(channel, payload)
        rejected = 'aurora_registry_events_rejected_total{reason="%s"}'
        for reason in ("stale_signature", "unsigned", "bad_signature"):
            until(partial(registry.metric, rejected % reason), 1.0)
        assert list(registry.nodes()) == ["v"]
        entry = registry.get("/audit").json()["entries"][0]
        assert (entry["action"], entry["by"]) == ("register", "node v")


@pytest.mark.parametrize(
    ("settings", "reported"),
    [
        ({"auth": {"join_token_file": "/nowhere"}}, "auth.join_token_file: cannot read /nowhere: No such file"),
        ({"auth": {"require_signed_events": True}}, "auth.require_signed_events: needs auth.join_token_file"),
        ({"web": {"config_file": "/nowhere"}}, "web.config_file: cannot read /nowhere: No such file"),
    ],
)
def test_what_cannot_be_used_is_refused_at_the_start(tmp_path, settings, reported):
    registry = RegistryProcess(tmp_path, settings=settings)
    ended = registry.run()

    assert (ended.returncode, "Traceback" in ended.stderr) == (1, False)
    assert reported in ended.stderr


def test_files_that_everybody_can_read_are_warned_of(tmp_path):
    auth = token_files(tmp_path, join=JOIN)
    Path(auth["join_token_file"]).chmod(0o644)
    with RegistryProcess(tmp_path, settings={"auth": auth}) as registry:
        assert "every user of this machine can read a file of secrets: chmod 600" in registry.log
        assert 'writes="with a token" reads=everybody' in registry.log


def test_handshakes_that_are_never_finished(tmp_path, ca):
    """They count against their source and end in time; others, and the registry's own end, do not wait for them."""
    web = tls_config(tmp_path, ca)
    limits = {"receive_timeout": "2s", "max_connections_per_source": 20, "max_connections": 60}
    registry = Secured(tmp_path, web)
    registry.configure(
        {
            "web": {"config_file": str(registry.web)},
            "auth": {"trusted_networks": ["127.0.0.1/32"]},
            "limits": limits,
        }
    )

    def connect(source):
        return socket.create_connection(("127.0.0.1", registry.port), timeout=30, source_address=(source, 0))

    def refused(reason):
        return registry.metric(f'aurora_registry_requests_refused_total{{reason="{reason}"}}')

    with registry:
        strangers = [connect("127.0.0.2") for _ in range(40)]
        until(lambda: refused("connections"), 20)
        for each in strangers[:20]:
            each.sendall(b"\x16\x03\x01\x02\x00")
        assert all(each.recv(1) == b"" for each in strangers[20:])
        until(lambda: refused("handshake"), 20)
        for each in strangers:
            with contextlib.suppress(ConnectionError):
                assert each.recv(1) == b""
            each.close()

        # From many sources: those that wait longest make room, also for what is trusted.
        strangers = [connect(f"127.0.1.{number}") for number in range(1, 101)]
        assert registry.get("/-/healthy").status_code == 200
        until(lambda: refused("idle_connection") + refused("handshake"), 20 + 100)
        assert refused("idle_connection") > 0
        assert registry.register(name="n1") == 201

        with connect("127.0.0.1") as plain:
            plain.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                plain.recv(1)
        for each in strangers:
            each.close()
        friends = [connect("127.0.0.1") for _ in range(10)]
        assert "Traceback" not in registry.log
        assert "error" not in registry.log
    for each in friends:
        each.close()


def test_a_stranger_that_tries_passwords_keeps_no_other_stranger_out(tmp_path):
    """Each check takes its time; who has the right password gets in while another tries wrong ones without pause."""
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(9)).decode()
    registry = Secured(tmp_path, {"basic_auth_users": {"alice": hashed}})
    registry.credentials["auth"] = ("alice", PASSWORD)
    settings = {
        "web": {"config_file": str(registry.web)},
        "auth": {"trusted_networks": ["127.0.0.1/32"]},
        "limits": {"untrusted_requests_per_second": 10_000},
    }
    registry.configure(settings)
    ended = threading.Event()

    def ask(source, password):
        with socket.create_connection(("127.0.0.1", registry.port), 60, source_address=(source, 0)) as connection:
            code = b64encode(f"alice:{password}".encode()).decode()
            connection.sendall(f"GET /nodes HTTP/1.0\r\nAuthorization: Basic {code}\r\n\r\n".encode())
            return int(connection.recv(65_536).split()[1])

    def attack(number):
        statuses = set()
        while not ended.is_set():
            statuses.add(ask("127.0.0.2", f"{number} {time.monotonic_ns()}"))
        return statuses

    with registry, ThreadPoolExecutor(24) as attackers:
        attacks = [attackers.submit(attack, number) for number in range(24)]
        try:
            busy = 'aurora_registry_requests_refused_total{reason="busy"}'
            until(lambda: registry.metric(busy) > 10, expected=True)
            assert [ask(f"127.0.0.{number}", PASSWORD) for number in range(3, 9)] == [200] * 6
            assert ask("127.0.0.9", "wrong") == 401
        finally:
            ended.set()
        assert set().union(*(each.result() for each in attacks)) == {401, 503}
