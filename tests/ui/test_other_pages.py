"""Pages of others, from another origin, in a real Chromium: the seed's, and a graph by D3."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.support.registry_process import ROOT

pytestmark = pytest.mark.servers
D3 = Path(__file__).parent / "node" / "node_modules" / "d3" / "dist" / "d3.min.js"
SEED = ROOT / "tests" / "acceptance" / "programs" / "status_page.js"


class Unlogged(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextmanager
def site(directory):
    """An origin of its own that serves the directory."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Unlogged, directory=directory)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def page(chromium):
    context = chromium.new_context()
    page = context.new_page()
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    context.close()
    assert faults == []


def test_the_seeds_own_page_shows_the_nodes(registry, page, tmp_path):
    registry.register(name="aurora", role="lead", vpn_ip="10.0.0.1")
    registry.register(name="vengeance", vpn_ip="10.0.0.4", capabilities={"gpu": True, "gpu_type": "RTX 4090"})
    script = SEED.read_text().replace("http://10.0.0.1:9999", registry.url)
    (tmp_path / "index.html").write_text(f'<!doctype html><div id="nodes"></div><script>{script}</script>')

    with site(tmp_path) as origin:
        page.goto(origin)

        expect(page.locator(".node.active h3")).to_have_text(["aurora", "vengeance"])
        expect(page.get_by_text("GPU: RTX 4090")).to_be_visible()


def test_a_graph_by_d3_follows_the_topology(registry, page, tmp_path):
    if not D3.exists():
        missing = f"{D3} is not there: run make test once"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    registry.register(name="aurora", role="lead")
    registry.register(name="vengeance", capabilities={"gpu": True})
    for file in (ROOT / "examples" / "topology.html", D3):
        (tmp_path / file.name).write_bytes(file.read_bytes())

    with site(tmp_path) as origin:
        page.goto(f"{origin}/topology.html?registry={registry.url}")

        expect(page.locator("circle.active")).to_have_count(2)
        # Lead and node by vpn_mesh and db_replication, and the GPU node back by gpu_mesh.
        expect(page.locator("line")).to_have_count(3)
        expect(page.locator("text")).to_have_text(["aurora", "vengeance"])
        registry.register(name="serenity")
        expect(page.locator("text")).to_have_text(["aurora", "vengeance", "serenity"])
