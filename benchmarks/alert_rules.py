"""What the rules cost Prometheus, beside the form in which each alert joins its labels itself."""

from __future__ import annotations

import contextlib
import http.server
import json
import statistics
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.plan import Plan
from benchmarks.processes import running
from benchmarks.report import Section, Target
from demo.ports import free_port
from demo.servers import newest, version_of
from exporter.alerting.files import rule_files
from exporter.alerting.parameters import RuleParameters
from exporter.domain.config import Config

GROUPS = ("aurora-nodes", "aurora-mesh", "aurora-recording")
JOINED = "node:aurora_node_info:topk"
JOIN = "topk by (node) (1, max by (node, role, environment, site) (aurora_node_info))"
OUTAGE = 0.3
READY_SECONDS = 60
COMPARED = """\
Time that the newest Prometheus on this machine takes to evaluate all rule groups once, as it states itself: the median
of several evaluations, with a scrape of all nodes every five seconds beside them. Every node has 24 series, every site
a hundred nodes. In the outage three nodes of ten are offline, each for a reason of its own, so that each has an alert.
*Joined in each rule*: the same rules, with the labels for routing computed again in every one of them."""


def measure(plan: Plan, directory: Path) -> Section:
    """Each form of the rules, steady and in an outage."""
    rows, targets = [], []
    for nodes in plan.rule_nodes:
        times = {
            (form, missing): _evaluation_seconds(directory, nodes, missing=missing, joined=form == "joined", plan=plan)
            for missing in (0.0, OUTAGE)
            for form in ("recorded", "joined")
        }
        for missing, name in ((0.0, "steady"), (OUTAGE, "outage of 30 %")):
            ours, other = times["recorded", missing], times["joined", missing]
            rows.append((f"{nodes:,} nodes, {name}", f"{ours:.2f} s", f"{other:.2f} s ({other / ours:.1f}x)"))
        targets = [
            Target(f"rules of {nodes:,} nodes, steady", 3, times["recorded", 0.0], "s", at_most=True),
            Target(f"rules of {nodes:,} nodes, outage of 30 %", 6, times["recorded", OUTAGE], "s", at_most=True),
        ]
    title = f"Rules (Prometheus {version_of(newest('prometheus'))})"
    return Section(title, COMPARED, ("all groups", "labels joined once", "joined in each rule"), rows, targets)


def _evaluation_seconds(directory: Path, nodes: int, *, missing: float, joined: bool, plan: Plan) -> float:
    here = directory / f"rules-{nodes}-{missing}-{joined}"
    here.mkdir()
    for name, text in rule_files(RuleParameters.of(Config())).items():
        (here / name).write_text(_joined(text) if joined else text)
    port = free_port()
    with _exposing(exposition(nodes, missing)) as target:
        configuration = {
            "global": {"scrape_interval": "5s", "scrape_timeout": "5s", "evaluation_interval": "15s"},
            "rule_files": [str(here / "*.rules.yml")],
            "scrape_configs": [{"job_name": "node-registry", "static_configs": [{"targets": [target]}]}],
        }
        (here / "prometheus.yml").write_text(json.dumps(configuration))
        argv = [
            newest("prometheus"),
            f"--config.file={here / 'prometheus.yml'}",
            f"--storage.tsdb.path={here / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        ]
        with running(argv, port=port, directory=here):
            _await_ready(port)
            return _median(port, nodes, plan)


def _joined(text: str) -> str:
    """The rules as if nothing had been recorded for them."""
    return text.replace(f"          {JOINED}\n", f"          {JOIN}\n")


def _median(port: int, nodes: int, plan: Plan) -> float:
    """Of the evaluations after alerts began to fire: pending ones cost less."""
    seen: dict[str, float] = {}
    warm = time.monotonic() + plan.rule_warm_seconds
    deadline = warm + 15 * (plan.rule_rounds + 2)
    while len(seen) < plan.rule_rounds:
        if time.monotonic() > deadline:
            raise AssertionError(f"expected {plan.rule_rounds} evaluations of {nodes} nodes' rules, got {len(seen)}")
        groups = {group["name"]: group for group in _api(port, "rules")["groups"] if group["name"] in GROUPS}
        faults = [rule["lastError"] for group in groups.values() for rule in group["rules"] if rule.get("lastError")]
        if faults:
            raise AssertionError(faults[0])
        if time.monotonic() > warm and len(groups) == len(GROUPS):
            seen[groups["aurora-nodes"]["lastEvaluation"]] = sum(group["evaluationTime"] for group in groups.values())
        time.sleep(1)
    return statistics.median(seen.values())


def _await_ready(port: int) -> None:
    """Return once Prometheus serves its API: it listens before that."""
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=60):
                return
        except urllib.error.HTTPError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.2)


def _api(port: int, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/{path}", timeout=60) as answer:
        return json.load(answer)["data"]


@contextlib.contextmanager
def _exposing(text: bytes) -> Iterator[str]:
    """An exporter that always says the same; its `host:port`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def exposition(nodes: int, missing: float) -> bytes:
    """What the rules read of so many nodes, of which a part is offline."""
    lines = ['aurora_registry_blind{transport="bus"} 0', 'aurora_registry_blind{transport="http"} 0']
    for number in range(nodes):
        name, offline = f"node-{number}", number % 10 < missing * 10
        node = f'node="{name}"'
        facts = f'{node},role="compute",vpn_ip="10.0.0.1",environment="production",site="site-{number // 100}"'
        lines.append(f"aurora_node_info{{{facts}}} 1")
        for status in ("active", "warning", "offline"):
            value = int(status == ("offline" if offline else "active"))
            lines.append(f'aurora_node_status{{{node},status="{status}"}} {value}')
            lines.append(f'aurora_node_status_transitions_total{{{node},status="{status}"}} {value}')
        lines += [f'aurora_node_lifecycle{{{node},lifecycle="{phase}"}} {on}' for phase, on in PHASES.items()]
        lines += [f"{family}{{{node}}} {single:g}" for family, single in SINGLE.items()]
        if not offline:
            gpu = f'{node},gpu="0",uuid="GPU-{number}"'
            lines += [f"{family}{{{gpu}}} {value}" for family, value in OF_GPU.items()]
    return ("\n".join(lines) + "\n").encode()


PHASES = {"in_service": 1, "draining": 0, "maintenance": 0}
SINGLE: dict[str, float] = {
    "aurora_node_status_held": 0,
    "aurora_node_gpus": 1,
    "aurora_node_gpus_observed": 1,
    "aurora_node_gpu_memory_bytes": 24 * 2**30,
    "aurora_node_heartbeats_missed_total": 0,
    "aurora_node_name_conflicts_total": 0,
    "aurora_node_clock_offset_seconds": 0.1,
    "aurora_node_last_seen_age_seconds": 12,
    "aurora_node_last_seen_timestamp_seconds": 1_760_000_000,
    "aurora_node_registered_timestamp_seconds": 1_750_000_000,
}
OF_GPU = {
    "aurora_node_gpu_utilization_ratio": 0.5,
    "aurora_node_gpu_temperature_celsius": 65,
    "aurora_node_gpu_power_watts": 250,
    "aurora_node_gpu_memory_used_bytes": 2**30,
}
