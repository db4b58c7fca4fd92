"""What a page that an operator opens can do, in a real browser: read, and write nothing."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.support.registry_process import RegistryProcess

pytestmark = pytest.mark.servers

DEADLINE_SECONDS = 60
CHROMIUM = (
    *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--host-resolver-rules=MAP evil.test 127.0.0.1, MAP rebind.test 127.0.0.1",
)
PAGE = b"""<!DOCTYPE html><form method="post" enctype="text/plain" target="frame"><input name="x"></form>
<iframe name="frame"></iframe>
<script>
const target = new URLSearchParams(location.search).get('target');
const results = {};
async function attempt(name, method, path, type, body, mode) {
  try {
    const headers = type ? {'Content-Type': type} : {};
    const answer = await fetch(target + path, {method, headers, body, mode: mode || 'cors'});
    results[name] = answer.type === 'opaque' ? 'opaque' : answer.status;
  } catch (error) {
    results[name] = 'blocked';
  }
}
(async () => {
  const json = 'application/json';
  await attempt('read', 'GET', '/nodes');
  await attempt('register', 'POST', '/nodes/register', json, '{"name": "new", "vpn_ip": "10.0.0.66"}');
  await attempt('sleep', 'POST', '/nodes/victim/heartbeat', json, '{"status": "sleeping"}');
  await attempt('heartbeat', 'POST', '/nodes/victim/heartbeat');
  await attempt('simple', 'POST', '/nodes/victim/heartbeat', '', undefined, 'no-cors');
  await attempt('text', 'POST', '/nodes/register', 'text/plain', '{"name": "text"}', 'no-cors');
  await attempt('maintenance', 'PUT', '/nodes/victim/maintenance', json, '{"until": "1h"}');
  await attempt('delete', 'DELETE', '/nodes/other');
  navigator.sendBeacon(target + '/nodes/beacon/heartbeat', new Blob(['{}'], {type: 'text/plain'}));
  const form = document.querySelector('form');
  const sent = new Promise(done => { document.querySelector('iframe').onload = done; });
  form.action = target + '/nodes/victim/drain';
  form.submit();
  await sent;
  await fetch('/report', {method: 'POST', body: JSON.stringify(results)});
})();
</script>"""


class _Attacker(BaseHTTPRequestHandler):
    """Serves the page, takes its report, and passes all else on to the registry as it is.

    A name that was rebound does the same: the page came from the attacker, and what the page asks for under the same
    name goes to the registry.
    """

    registry: ClassVar[int]
    reports: ClassVar[queue.Queue[Any]]

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path.startswith("/page"):
            self._send(200, [("Content-Type", "text/html")], PAGE)
        elif self.path == "/report":
            self.reports.put(json.loads(body))
            self._send(204, [], b"")
        else:
            self._send(*self._pass_on(body))

    do_GET = do_POST = do_PUT = do_DELETE = do_OPTIONS = answer  # noqa: N815 - what http.server calls

    def _pass_on(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        """What the registry says to it. The browser may be gone when its answer comes."""
        with closing(HTTPConnection("127.0.0.1", self.registry, timeout=DEADLINE_SECONDS)) as connection:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            passed = connection.getresponse()
            return passed.status, passed.getheaders(), passed.read()

    def _send(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in {"content-length", "connection"}:
                self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def _attacker(registry: int) -> Iterator[tuple[int, queue.Queue[Any]]]:
    reports: queue.Queue[Any] = queue.Queue()
    handler = type("Attacker", (_Attacker,), {"registry": registry, "reports": reports})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port, reports
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    with RegistryProcess(tmp_path_factory.mktemp("browsers")) as registry:
        yield registry


def _open_page(registry: RegistryProcess, host: str, profile: Path, *, rebound: bool) -> dict[str, Any]:
    """What the page could do, by the name of each attempt."""
    with _attacker(registry.port) as (port, reports):
        target = "" if rebound else registry.url
        page = f"http://{host}:{port}/page?target={target}"
        command = [*CHROMIUM, f"--user-data-dir={profile}", "--remote-debugging-port=0", page]
        browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            results: dict[str, Any] = reports.get(timeout=DEADLINE_SECONDS)
        finally:
            browser.terminate()
            browser.wait(DEADLINE_SECONDS)
    return results


def _prepare(registry: RegistryProcess) -> dict[str, Any]:
    for name in ("victim", "other"):
        assert registry.register(name=name, vpn_ip="10.0.0.4") in {200, 201}
    return registry.nodes()


def test_a_page_of_another_origin_reads_and_writes_nothing(registry, tmp_path):
    """The seed's pages read from any origin; no method, type, form or beacon writes."""
    before = _prepare(registry)
    results = _open_page(registry, "evil.test", tmp_path, rebound=False)

    assert results.pop("read") == 200
    assert set(results.values()) == {"blocked", "opaque"}, results
    assert registry.nodes() == before
    assert registry.metric('aurora_registry_requests_refused_total{reason="cross_site"}') >= 3


def test_a_page_of_a_rebound_name_reads_and_writes_nothing(registry, tmp_path):
    """To the browser it is the registry's own page; its Host is unknown to us."""
    before = _prepare(registry)
    results = _open_page(registry, "rebind.test", tmp_path, rebound=True)

    assert results.pop("read") == 200
    assert set(results.values()) == {403}, results
    assert registry.nodes() == before
    assert registry.metric('aurora_registry_requests_refused_total{reason="unknown_host"}') >= len(results)


def test_our_own_page_writes(registry, tmp_path):
    """The same page under an address, as the status page is opened: the attempts above could have succeeded."""
    _prepare(registry)
    results = _open_page(registry, "127.0.0.1", tmp_path, rebound=True)

    assert (results["register"], results["heartbeat"], results["maintenance"]) == (201, 204, 200)
    assert results["delete"] == 204
    assert "other" not in registry.nodes()
