"""aurora-agent as it runs on a node: beside a real registry and a real Redis, with signals and exit statuses."""

from __future__ import annotations

import json
import shlex
import signal
import socket
import socketserver
import subprocess
import sys
import threading

import pytest

from demo.ports import free_port
from exporter.agent.logs import AgentLog
from exporter.agent.state import StateFile
from tests.agent.conftest import AGENT, FAST
from tests.support.http_stub import HttpStub, json_response
from tests.support.redis_server import RedisServer
from tests.support.registry_process import RegistryProcess, clean_env
from tests.support.server_process import until

pytestmark = pytest.mark.servers


@pytest.fixture
def redis():
    with RedisServer() as server:
        yield server


@pytest.fixture
def start(agents):
    return agents.start


@pytest.fixture
def run(agents):
    return agents.run


class TokenRegistry:
    """Asks for a join token to register with and for the node's own to beat with, and exchanges that at each start."""

    def __init__(self):
        self.received = []
        self.number = 0

    def respond(self, request):
        given, joining = request.headers["Authorization"], request.path == "/nodes/register"
        own = f"own-{self.number}"
        if given != f"Bearer {own}" and not (joining and given == "Bearer join"):
            response = json_response({"detail": "this needs a token"}, 401, "application/problem+json")
        elif joining:
            response = json_response({"heartbeat_interval_seconds": 0.1, "token": own})
        else:
            response = json_response({"ignored": []})
        self.received.append((joining, given, response.status))
        return response


class OldRegistry:
    """Answers registrations as one does that does not know the key `agent`; it does nothing else."""

    def __init__(self):
        self.registered = []

    def respond(self, request):
        body = json.loads(request.body)
        if "agent" in body:
            errors = [{"field": "agent", "message": "not a known field here"}]
            return json_response({"errors": errors}, 400, "application/problem+json")
        self.registered.append(set(body) | {"node_id"})
        return json_response({"heartbeat_interval_seconds": 30}, 201)


def await_heartbeats(registry, count):
    sample = 'aurora_registry_heartbeats_total{transport="http"}'
    goal = registry.metric(sample) + count
    until(lambda: registry.metric(sample) >= goal, expected=True)


def beats(registry):
    return lambda: registry.metric('aurora_registry_heartbeats_total{transport="http"}') > 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_registers_beats_and_stops_on_a_signal(mesh, start, number):
    """The environment is enough; a stop deregisters nothing, so a reboot loses nothing."""
    process, log = start(AURORA_REGISTRY=mesh.url, AURORA_NODE_NAME="vengeance", AURORA_VPN_IP="10.0.0.4")
    until(beats(mesh), expected=True)
    document = mesh.nodes()["vengeance"]
    assert (document["vpn_ip"], document["status"], document["capabilities"]) == ("10.0.0.4", "active", {"gpu": False})
    process.send_signal(number)
    assert process.wait(10) == 0
    assert "Traceback" not in log()
    assert "vengeance" in mesh.nodes()


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_cost_no_node(mesh, tmp_path, closed):
    """As some supervisors start programs: what it would log goes nowhere."""
    arguments = ["--registry", mesh.url, "--node-name=mute", "--state-dir", tmp_path, "--once"]
    command = shlex.join(map(str, [*AGENT, *arguments]))
    done = subprocess.run(["sh", "-c", f"exec {command} {closed}"], env=clean_env(), timeout=60, check=False)
    assert done.returncode == 0
    assert mesh.nodes()["mute"]["status"] == "active"


def test_it_leaves_when_that_was_asked(mesh, start):
    process, _ = start("--registry", mesh.url, "--node-name=spot", AURORA_LEAVE_ON_STOP="true")
    until(lambda: list(mesh.nodes()), ["spot"])
    process.terminate()
    assert process.wait(10) == 0
    assert mesh.nodes() == {}


def test_a_registry_that_forgot_gets_a_registration_again(mesh, start):
    """It restarts over an empty store: the first unknown heartbeat brings the registration back."""
    _, log = start("--registry", mesh.url, "--node-name=vengeance", "--site=home")
    until(beats(mesh), expected=True)
    mesh.kill()
    until(lambda: "does not receive this node" in log(), expected=True)
    mesh.start()
    until(lambda: mesh.nodes().get("vengeance", {}).get("metadata", {}).get("site"), "home")
    until(lambda: "the registry receives this node again" in log(), expected=True)
    assert log().count("does not receive this node") == 1
    assert "Traceback" not in log()


def test_a_registry_that_is_not_there_yet_is_waited_for(tmp_path, start):
    """Boot order is nobody's business."""
    registry = RegistryProcess(tmp_path, settings=FAST)
    _, log = start("--registry", registry.url, "--node-name=early")
    until(lambda: "does not receive this node" in log(), expected=True)
    try:
        registry.start()
        until(lambda: list(registry.nodes()), ["early"])
    finally:
        registry.close()


def test_it_stops_at_once_although_the_registry_hangs(start):
    """A shutdown is not held up, also where it wanted to leave."""
    with socket.create_server(("127.0.0.1", 0)) as missing:
        process, log = start(
            "--registry", f"http://127.0.0.1:{missing.getsockname()[1]}", "--node-name=a", "--leave-on-stop"
        )
        missing.accept()[0].close()
        process.terminate()
        assert process.wait(10) == 0
    assert "Traceback" not in log()


def test_a_deregistered_node_is_not_brought_back(mesh, start):
    """Somebody did it on purpose: status 5, on which a supervisor should not restart it."""
    process, log = start("--registry", mesh.url, "--node-name=retired")
    until(beats(mesh), expected=True)
    assert mesh.ask("DELETE", "/nodes/retired").status_code == 204
    assert process.wait(10) == 5
    assert "aurora-agent: node 'retired' was deregistered" in log()
    assert mesh.nodes() == {}


def test_a_name_of_another_machine_is_left_alone(mesh, run):
    mesh.register(name="twin", node_id="another")
    ended = run("--once", "--registry", mesh.url, "--node-name=twin")
    assert ended.returncode == 4
    assert "aurora-agent: name 'twin' belongs to a living node with another node_id" in ended.stderr


def test_a_claim_that_ends_is_waited_for(tmp_path, start):
    """The same machine with a new machine id after a reboot: its old claim lives on for a while."""
    settings = {"thresholds": {"heartbeat_interval": "200ms", "warning_after": "2s", "offline_after": "4s"}}
    with RegistryProcess(tmp_path, settings=settings) as registry:
        registry.register(name="vengeance", node_id="another")
        process, log = start("--registry", registry.url, "--node-name=vengeance", "--site=home")
        until(lambda: "belongs to a living node" in log(), expected=True)
        until(lambda: registry.nodes()["vengeance"]["metadata"].get("site"), "home")
        assert process.poll() is None


def test_a_renamed_host_leaves_its_old_name(mesh, tmp_path):
    """It was named by its host name, and is again; a name that somebody stated is left alone."""
    environment = {**clean_env(AURORA_STATE_DIR=str(tmp_path / "state"), AURORA_REGISTRY=mesh.url)}
    for name in ("old", "new"):
        code = f"import socket, exporter.agent; socket.gethostname = lambda: {name!r}; exporter.agent.main(['--once'])"
        subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert list(mesh.nodes()) == ["new"]
    subprocess.run([*map(str, AGENT), "--once", "--node-name=stated"], env=environment, check=True)
    assert list(mesh.nodes()) == ["new", "stated"]


@pytest.mark.parametrize(
    "kept",
    [
        b'{"gpus": -3}',
        b'{"gpus": true, "gpu_type": 7}',
        b'{"gpus": 1e99, "token": 5}',
        b'{"gpus": 99999999999999999999}',
        b'{"gpus": "2", "gpu_memory_bytes": []}',
        b"[]",
        b"\xff\x00",
        b'{"gpus": 1, "gpu_memory_bytes": -1, "gpu_type": "A\\u0001"}',
    ],
)
def test_a_damaged_state_costs_no_node(mesh, run, tmp_path, kept):
    """Nor one that an earlier version wrote: what cannot be is as if it had not been kept."""
    run("--once", "--registry", mesh.url, "--node-name=a", "--gpus=0")
    (tmp_path / "state").mkdir(exist_ok=True)
    state = StateFile(tmp_path / "state", AgentLog("error"))
    state.open(mesh.url, "a")
    state.put(gpus=1)
    [path] = (tmp_path / "state").glob("*.json")
    path.write_bytes(kept)
    ended = run("--once", "--registry", mesh.url, "--node-name=a")
    assert (ended.returncode, "Traceback" in ended.stderr) == (0, False)
    remembered = b'"gpus": 1,' in kept
    assert mesh.nodes()["a"]["capabilities"].get("gpu_count", 0) == int(remembered)


@pytest.mark.parametrize("place", ["file", "file/below", "none/of/ours"])
def test_a_state_that_cannot_be_kept_costs_no_node(mesh, run, tmp_path, place):
    (tmp_path / "file").touch()
    ended = run("--once", "--registry", mesh.url, "--node-name=a", "--state-dir", str(tmp_path / place))
    assert (ended.returncode, "Traceback" in ended.stderr) == (0, False)
    assert mesh.nodes()["a"]["status"] == "active"


def test_a_notice_is_passed_on(mesh, start):
    """A rented machine that is about to be taken away drains, and leaves."""
    process, _ = start(
        "--registry", mesh.url, "--node-name=spot", "--on-signal=USR1=draining", AURORA_ON_SIGNAL="USR2=leave"
    )
    until(lambda: list(mesh.nodes()), ["spot"])
    process.send_signal(signal.SIGUSR1)
    until(lambda: mesh.nodes()["spot"]["lifecycle"], "draining")
    process.terminate()
    assert process.wait(10) == 0
    process, _ = start("--registry", mesh.url, "--node-name=spot", AURORA_ON_SIGNAL="USR2=leave")
    until(beats(mesh), expected=True)
    until(lambda: mesh.nodes()["spot"]["lifecycle"], "in_service")
    process.send_signal(signal.SIGUSR2)
    assert process.wait(10) == 0
    assert mesh.nodes() == {}


def test_a_registry_that_knows_no_agents_is_good_enough(start):
    """An agent may be newer than its registry: what that refuses by name is left out."""
    registry = OldRegistry()
    with HttpStub(registry.respond) as server:
        start("--registry", server.url, "--node-name=a")
        until(lambda: registry.registered, [{"name", "role", "node_id", "capabilities", "metadata"}])


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 " + b"9" * 6000 + b" OK\r\n\r\n",
        b"HTTP/1.1 999999999999 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-8\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 60_000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 6000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 100_000,
    ],
    ids=range(7),
)
def test_no_answer_ends_it(start, answer):
    """Whatever there is in place of a registry, the agent tries again."""
    asked = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(65_536)
            asked.append(1)
            self.request.sendall(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        process, log = start("--registry", f"http://127.0.0.1:{server.server_address[1]}", "--node-name=a")
        until(lambda: len(asked) > 1, expected=True)
        assert (process.poll(), "Traceback" in log()) == (None, False)
        server.shutdown()


@pytest.mark.parametrize("url", ["http://a..b:9999", f"http://{'a' * 64}:9999", "http://.:9999"])
def test_a_host_that_cannot_be_looked_up_is_named(run, url):
    ended = run("--once", "--registry", url, "--node-name=a")
    assert (ended.returncode, "Traceback" in ended.stderr) == (3, False)


def test_a_token_is_shown_and_another_asked_for_when_it_is_refused(start, tmp_path):
    """The join token to register with, the node's own after that; a registry with new tokens is joined again."""
    (tmp_path / "token").write_text("join")
    registry = TokenRegistry()
    with HttpStub(registry.respond) as server:
        start("--registry", server.url, "--node-name=a", "--token-file", str(tmp_path / "token"))
        until(lambda: (False, "Bearer own-0", 200) in registry.received, expected=True)
        assert registry.received[0] == (True, "Bearer join", 200)
        registry.number = 1
        until(lambda: (False, "Bearer own-1", 200) in registry.received, expected=True)
        assert (False, "Bearer own-0", 401) in registry.received


def test_a_look_beside_the_agent_is_no_second_machine(mesh, start, run):
    """As when join is run again; two agents under one name are two machines."""
    sample = 'aurora_node_name_conflicts_total{node="a"}'
    start("--registry", mesh.url, "--node-name=a")
    until(beats(mesh), expected=True)
    for _ in range(2):
        assert run("--once", "--registry", mesh.url, "--node-name=a").returncode == 0
        await_heartbeats(mesh, 3)
    assert mesh.metric(sample) == 0
    start("--registry", mesh.url, "--node-name=a")
    until(lambda: mesh.metric(sample) > 0, expected=True)


def test_with_tokens_it_registers_signs_and_leaves(tmp_path, redis, start, run):
    """A registry that asks for a join token and for signatures: over HTTP, over the bus, and over both."""
    token = tmp_path / "token"
    token.write_text("join-token-of-the-tests-0123456789\n")
    token.chmod(0o600)
    settings = {**FAST, "auth": {"join_token_file": str(token), "require_signed_events": True}}
    with RegistryProcess(tmp_path / "registry", event_bus=redis.url, settings=settings) as registry:
        assert run("--once", "--registry", registry.url, "--node-name=nobody").returncode == 1
        given = ("--token-file", str(token))
        http, _ = start("--registry", registry.url, "--node-name=http", "--leave-on-stop", *given)
        start("--registry", registry.url, "--event-bus", redis.url, "--node-name=both", *given)
        start("--event-bus", redis.url, "--heartbeat-interval=200ms", "--node-name=bus", *given)
        expected = {"http": "http", "both": "bus", "bus": "bus"}
        until(lambda: {name: node["transport"] for name, node in registry.nodes().items()}, expected)
        http.terminate()
        assert http.wait(10) == 0
        assert sorted(registry.nodes()) == ["both", "bus"]


def test_once_is_enough_for_cron(mesh, run):
    assert run("--once", "--registry", mesh.url, "--node-name=cron").returncode == 0
    assert mesh.nodes()["cron"]["status"] == "active"


def test_once_reports_a_registry_that_is_not_there(run):
    url = f"http://127.0.0.1:{free_port()}"
    ended = run("--once", "--registry", url, "--node-name=a")
    assert (ended.returncode, ended.stderr.splitlines()[-1]) == (3, f"aurora-agent: {url}: connection refused")


def test_a_laptop_says_that_it_will_sleep(mesh, run):
    """Nobody is paged for a closed lid; a node that never registered gets an error."""
    assert run("--send-status=sleeping", "--registry", mesh.url, "--node-name=book").returncode == 1
    mesh.register(name="book")
    assert run("--send-status=sleeping", "--registry", mesh.url, "--node-name=book").returncode == 0
    assert mesh.nodes()["book"]["lifecycle"] == "maintenance"


def test_a_dry_run_asks_nobody(run):
    ended = run("--dry-run", "--node-name=a", "--cost-per-hour=0.5")
    registration = json.loads(ended.stdout)
    assert (registration["name"], registration["metadata"]["cost_per_hour"]) == ("a", 0.5)


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({"AURORA_VPN_IP": "home"}, "--vpn-ip (AURORA_VPN_IP): expected an IP address or 'dynamic', got 'home'"),
        ({"AURORA_NODE_NAME": "a b"}, "--node-name (AURORA_NODE_NAME): expected 1 to 63 letters"),
        ({"AURORA_HEARTBEAT_INTERVAL": "soon"}, "--heartbeat-interval: expected a duration"),
        ({"AURORA_LEAVE_ON_STOP": "perhaps"}, "AURORA_LEAVE_ON_STOP: expected true or false, got 'perhaps'"),
        ({"AURORA_REGISTRY": "redis://me:hunter2@a"}, "expected a host, host:port or a URL"),
        ({"AURORA_LOG_LEVEL": "loud"}, "--log.level: expected one of debug"),
    ],
)
def test_a_wrong_setting_is_named(run, variables, complaint):
    """Before anybody is asked, and without a password."""
    ended = run(**{"AURORA_NODE_NAME": "a", **variables})
    assert ended.returncode == 2
    assert complaint in ended.stderr
    assert "hunter2" not in ended.stderr


def test_over_the_bus_alone_it_registers_there_and_again_after_an_outage(tmp_path, redis, start):
    """Nobody answers on the bus: what a registry that restarted may have missed is said again."""
    with RegistryProcess(tmp_path, event_bus=redis.url, settings=FAST) as registry:
        _, log = start("--event-bus", redis.url, "--heartbeat-interval=200ms", "--node-name=bus", "--site=home")
        until(lambda: registry.nodes().get("bus", {}).get("metadata", {}).get("site"), "home")
        assert registry.nodes()["bus"]["transport"] == "bus"
        registry.kill()
        until(lambda: "nobody listens" in log(), expected=True)
        registry.start()
        until(lambda: registry.nodes().get("bus", {}).get("metadata", {}).get("site"), "home")


def test_it_registers_over_http_and_beats_over_the_bus(tmp_path, redis, start):
    with RegistryProcess(tmp_path, event_bus=redis.url, settings=FAST) as registry:
        start("--registry", registry.url, "--event-bus", redis.url, "--node-name=both", "--vpn-ip=10.0.0.4")
        until(lambda: registry.nodes().get("both", {}).get("transport"), "bus")
        assert registry.nodes()["both"]["vpn_ip"] == "10.0.0.4"


def test_help_fits_a_terminal(run):
    """80 columns, with examples."""
    ended = run("--help", COLUMNS="80")
    assert "examples:\n  aurora-agent --registry" in ended.stdout
    assert max(map(len, ended.stdout.splitlines())) <= 80
