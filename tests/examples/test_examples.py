"""The examples, run as they stand, against a real registry."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from demo.ports import free_port
from tests.support.http_stub import HttpStub, Response
from tests.support.registry_process import RegistryProcess, clean_env, run_program
from tests.support.server_process import until

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.servers
QUICK = {"thresholds": {"heartbeat_interval": "300ms", "warning_after": "1s", "offline_after": "2s"}}


@pytest.fixture
def registry(tmp_path):
    with RegistryProcess(tmp_path, settings=QUICK) as registry:
        yield registry


def example(name, *arguments):
    return [sys.executable, ROOT / "examples" / name, *arguments]


@contextmanager
def running(command, output=subprocess.DEVNULL):
    """A program that runs without end, ended at the end."""
    with subprocess.Popen(list(map(str, command)), stdout=output, env=clean_env()) as process:
        try:
            yield process
        finally:
            process.terminate()


@contextmanager
def backends(port):
    """Two real HTTP servers, each on an address of its own, that answer with it."""

    def respond(request):
        return Response(body=request.host.encode())

    with HttpStub(respond, host="127.0.0.2", port=port), HttpStub(respond, host="127.0.0.3", port=port):
        yield


def answering(port):
    """Which backends answer ten requests."""
    return {requests.get(f"http://127.0.0.1:{port}", timeout=10).text for _ in range(10)}


@pytest.fixture
def calm(tmp_path):
    with RegistryProcess(tmp_path) as registry:
        for number in (2, 3):
            registry.register(name=f"node-{number}", role="compute", vpn_ip=f"127.0.0.{number}")
        yield registry


def test_a_gpu_mesh_has_the_active_gpu_nodes_in_service(calm, tmp_path):
    calm.register(name="vengeance", vpn_ip="10.0.0.4", capabilities={"gpu": True, "gpu_type": "T4", "gpu_memory": 16})
    output = tmp_path / "output"
    joined = "vengeance joins: 1x T4, 16 GB at 10.0.0.4\n"
    with output.open("w") as file, running(example("gpu_mesh.py", calm.url), file):
        until(output.read_text, joined)
        until(lambda: calm.metric("aurora_registry_event_streams"), 1)
        calm.ask("PUT", "/nodes/vengeance/drain", json={})
        until(output.read_text, f"{joined}vengeance leaves\n")
        calm.ask("DELETE", "/nodes/vengeance/drain")
        until(output.read_text, f"{joined}vengeance leaves\n{joined}")


def test_a_load_balancer_passes_over_who_is_out_of_service_and_who_refuses(calm):
    port, listen = free_port(), free_port()
    calm.register(name="refusing", role="compute", vpn_ip="127.0.0.4")
    with backends(port), running(example("load_balancer.py", calm.url, "compute", port, listen)):
        until(lambda: answering(listen), {"127.0.0.2", "127.0.0.3"})
        calm.ask("PUT", "/nodes/node-2/drain", json={})
        until(lambda: answering(listen), {"127.0.0.3"})


def test_a_real_nginx_takes_the_rendered_upstream(calm, tmp_path):
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    assert nginx is not None, "nginx is not on this machine: run make servers"
    port, listen = free_port(), free_port()
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(NGINX.format(directory=tmp_path, listen=listen))

    def render():
        done = run_program(example("backends.py", calm.url, "compute", str(port)), tmp_path)
        (tmp_path / "backends.conf").write_text(done.stdout)

    render()
    command = [nginx, "-c", str(configuration), "-p", str(tmp_path), "-e", str(tmp_path / "error.log")]
    with backends(port), running([*command, "-g", "daemon off;"]):
        until(lambda: answering(listen), {"127.0.0.2", "127.0.0.3"})
        calm.ask("PUT", "/nodes/node-2/drain", json={})
        render()
        subprocess.run([*command, "-s", "reload"], check=True, timeout=30)
        until(lambda: answering(listen), {"127.0.0.3"})


NGINX = """\
pid {directory}/nginx.pid;
events {{}}
http {{
    include backends.conf;
    access_log off;
    client_body_temp_path {directory}; proxy_temp_path {directory};
    fastcgi_temp_path {directory}; uwsgi_temp_path {directory}; scgi_temp_path {directory};
    server {{
        listen 127.0.0.1:{listen};
        location / {{ proxy_pass http://compute; }}
    }}
}}
"""


def test_a_failover_follows_a_transition(registry, tmp_path):
    registry.register(name="serenity", role="storage")
    registry.register(name="planned", role="storage")
    registry.ask("PUT", "/nodes/planned/maintenance", json={})
    output = tmp_path / "output"
    with output.open("w") as file, running(example("failover.py", registry.url), file):
        until(lambda: registry.metric("aurora_registry_event_streams"), 1)
        until(output.read_text, "serenity (storage) is offline: nobody can take over\n")


def test_active_backends_become_an_upstream(calm, tmp_path):
    calm.register(name="six", role="compute", vpn_ip="fd00::2")
    calm.register(name="out", role="compute", vpn_ip="10.0.0.3")
    calm.ask("PUT", "/nodes/out/drain", json={})

    done = run_program(example("backends.py", calm.url, "compute", "8000"), tmp_path)

    lines = "    server 127.0.0.2:8000;\n    server 127.0.0.3:8000;\n    server [fd00::2]:8000;\n"
    assert done.stdout == f"upstream compute {{\n{lines}}}\n"


def test_without_an_active_backend_the_upstream_is_down(registry, tmp_path):
    registry.register(name="one", role="compute", vpn_ip="10.0.0.1")
    until(lambda: set(registry.statuses().values()), {"offline"})

    done = run_program(example("backends.py", registry.url, "compute", "8000"), tmp_path)

    assert done.stdout == "upstream compute {\n    server 127.0.0.1:1 down;\n}\n"
