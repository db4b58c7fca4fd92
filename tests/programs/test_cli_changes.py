"""Commands that change something, against a registry that runs."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.support.registry_process import RegistryProcess, clean_env, program
from tests.support.server_process import until

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """A registry that runs as long as these tests do."""
    with RegistryProcess(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture
def run(live, tmp_path):
    """Runs aurora-cli against it; gives exit status, stdout and stderr."""

    def do(*argv, stdin="", **variables):
        done = subprocess.run(
            [*program("cli"), *argv],
            env=clean_env(AURORA_REGISTRY=f"127.0.0.1:{live.port}", **variables),
            input=stdin,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=30,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    return do


def test_a_node_is_registered_from_options(live, run):
    """Every option becomes what the registry has for it."""
    run("register", "aurora", "--role=lead")
    status, out, err = run(
        *("register", "vengeance", "--role=gpu", "--vpn-ip=10.0.0.4", "--public-ip=dynamic", "--node-id=m1"),
        *("--gpus=1", "--gpu-type=RTX 4090", "--gpu-memory=24", "--site=home", "--environment=test", "--os=ubuntu"),
        *("--cost-per-hour=0.79", "--link=aurora:nvlink", "--capability=cuda=12.4", "--metadata=rack=two", "--ttl=2h"),
    )
    assert (status, out, err) == (0, "vengeance is registered: role gpu, GPUs 1x RTX 4090\n", "")
    node = live.nodes()["vengeance"]
    assert node["capabilities"] == {"cuda": 12.4, "gpu_count": 1, "gpu_type": "RTX 4090", "gpu_memory": 24, "gpu": True}
    assert node["metadata"] == {
        "rack": "two",
        "site": "home",
        "environment": "test",
        "os": "ubuntu",
        "cost_per_hour": 0.79,
    }
    edges = live.get("/topology").json()["connections"]
    assert {"source": "vengeance", "target": "aurora", "type": "nvlink"} in edges


def test_a_registration_comes_from_a_file_or_from_standard_input(live, run, tmp_path):
    (tmp_path / "node.json").write_text('{"name": "from-file", "role": "storage"}')
    assert run("register", "--file", "node.json", "--site=home")[0] == 0
    assert run("register", "--file", "-", stdin='{"name": "from-stdin"}')[0] == 0
    nodes = live.nodes()
    assert (nodes["from-file"]["role"], nodes["from-file"]["metadata"]) == ("storage", {"site": "home"})
    assert "from-stdin" in nodes


def test_an_update_keeps_what_is_not_given(live, run):
    """Without --update a registration is all that the node is."""
    run("register", "kept", "--vpn-ip=10.0.0.9", "--gpus=2", "--site=home")
    assert run("register", "kept", "--update", "--gpus=4")[1] == "kept is updated: role compute, GPUs 4x GPU\n"
    node = live.nodes()["kept"]
    assert (node["vpn_ip"], node["metadata"]) == ("10.0.0.9", {"site": "home"})
    run("register", "kept", "--gpus=4")
    assert "vpn_ip" not in live.nodes()["kept"]


@pytest.mark.parametrize(
    ("argv", "status", "complaint"),
    [
        (["register"], 2, "which node? Give NAME, or a file with a name"),
        (["register", "a", "--gpus=many"], 2, "argument --gpus: expected a whole number, 0 or more, got 'many'"),
        (["register", "a", "--link=aurora"], 2, "--link: expected TARGET:TYPE"),
        (["register", "a", "--metadata=x"], 2, "--metadata: expected KEY=VALUE, got 'x'"),
        (["register", "--file=missing.json"], 1, "cannot read missing.json: No such file or directory"),
        (["register", "a", "--vpn-ip=home"], 1, "vpn_ip: expected an IP address"),
        (["deregister", "nope"], 1, "no node is registered as 'nope'"),
        (["maintenance", "start"], 2, "which node? aurora-cli maintenance start NAME"),
        (["maintenance", "nope", "--for=2h"], 1, "no node is registered as 'nope'"),
        (["maintenance", "a", "--for=soon"], 2, "argument --for: expected a duration as Prometheus writes it"),
        (["drain", "a", "--for=1h", "--until=2099-01-01T00:00:00Z"], 2, "not allowed with argument --for"),
        (["accept", "nope"], 1, "no node is registered as 'nope'"),
    ],
)
def test_what_is_wrong_is_reported_and_nothing_is_changed(live, run, argv, status, complaint):
    before = live.nodes()
    got, out, err = run(*argv)
    assert (got, out) == (status, "")
    assert complaint in err
    assert live.nodes().keys() == before.keys()


@pytest.mark.parametrize("body", ["", "[]", "{", '"text"'])
def test_a_file_that_is_no_registration_is_reported(run, body):
    status, _, err = run("register", "--file=-", stdin=body)
    assert (status, "standard input" in err) == (1, True)


def test_maintenance_has_a_reason_and_an_end(live, run):
    """Started with or without the word; ended by the word or the option."""
    run("register", "worked-on")
    status, out, _ = run("maintenance", "worked-on", "--for=2h", "--reason=new fan")
    node = live.nodes()["worked-on"]
    assert status == 0
    assert out == f"worked-on is in maintenance until {node['lifecycle_until']} (in 2 hours): new fan\n"
    assert (node["lifecycle"], node["lifecycle_reason"]) == ("maintenance", "new fan")

    assert run("maintenance", "end", "worked-on")[1] == "worked-on is in service\n"
    assert run("drain", "start", "worked-on", "--until=90m")[0] == 0
    assert live.nodes()["worked-on"]["lifecycle"] == "draining"
    assert run("drain", "worked-on", "--end", "--json")[0] == 0
    assert live.nodes()["worked-on"]["lifecycle"] == "in_service"


def test_many_nodes_are_changed_and_those_that_fail_are_named(live, run):
    run("register", "one")
    run("register", "two")
    status, out, err = run("drain", "one", "nope", "two")
    assert (status, len(out.splitlines()), "'nope'" in err) == (1, 2, True)
    status, out, _ = run("deregister", "one", "two", "--json")
    assert json.loads(out) == [{"node": "one", "deregistered": True}, {"node": "two", "deregistered": True}]
    assert not {"one", "two"} & live.nodes().keys()


def test_what_a_node_has_now_is_accepted(live, run):
    """A node of two GPUs that reports one: accepted, it is a node of one."""
    run("register", "fallen", "--gpus=2", "--gpu-memory=48", "--gpu-type=H100")
    live.ask("POST", "/nodes/fallen/heartbeat", json={"gpus": [{"index": 0, "uuid": "GPU-1"}]})
    assert run("accept", "fallen") == (0, "fallen should have 1 GPU from now on: 1x H100\n", "")
    assert live.nodes()["fallen"]["capabilities"]["gpu_count"] == 1
    assert run("accept", "fallen", "--gpus=0") == (0, "fallen should have 0 GPUs from now on\n", "")


def test_what_happens_is_followed_as_it_happens(live, run, tmp_path):
    """From a stream that is open before anything happens."""
    environment = clean_env(AURORA_REGISTRY=live.url)
    command = [*map(str, program("cli")), "events", "--limit=2", "--site=followed"]
    command += ["--type=node_registered", "--type=node_lifecycle_changed"]
    with subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as following:
        until(lambda: live.metric("aurora_registry_event_streams"), 1.0)
        run("register", "followed", "--site=followed")
        run("maintenance", "followed", "--reason=fan")
        out, _ = following.communicate(timeout=30)
    registered, changed = out.splitlines()
    assert "  node_registered  followed  role=compute" in registered
    assert "  node_lifecycle_changed  followed  " in changed
    assert "lifecycle=maintenance lifecycle_reason=fan" in changed


def test_a_node_out_of_service_is_shown_in_a_column_of_its_own(run):
    run("register", "noted", "--vpn-ip=10.0.0.7")
    run("maintenance", "noted", "--reason=fan")
    _, out, _ = run("nodes")
    [line] = [line for line in out.splitlines() if line.startswith("noted ")]
    assert out.splitlines()[0].endswith("NOTE")
    assert line.endswith("  maintenance: fan")


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("argv", [["nodes"], ["nodes", "--wide"], ["top", "--once"]], ids=" ".join)
def test_tables_fit_a_pipe_whose_columns_are_given(run, width, argv):
    run("register", "n" * 63, "--vpn-ip=fd00:1234:5678:9abc:def0:1234:5678:9abc", "--site=" + "s" * 40)
    run("maintenance", "n" * 63, "--reason=" + "r" * 100)
    _, out, _ = run(*argv, COLUMNS=str(width))
    assert max(map(len, out.splitlines())) <= width


def test_orders_of_our_own(run):
    for name, gpus in (("sort-b", 1), ("sort-a", 8)):
        run("register", name, f"--gpus={gpus}", "--role=sorted")
    names = {
        order: [line.split()[0] for line in run("nodes", "--role=sorted", f"--sort={order}")[1].splitlines()[1:]]
        for order in ("name", "gpus", "last_seen")
    }
    assert names == {"name": ["sort-a", "sort-b"], "gpus": ["sort-a", "sort-b"], "last_seen": ["sort-b", "sort-a"]}
