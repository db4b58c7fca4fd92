"""What the agent takes of its node, beside node_exporter."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import client, contenders
from benchmarks.plan import Plan
from benchmarks.processes import cpu_seconds, resident_bytes, running
from benchmarks.report import Section, Target
from demo.ports import free_port
from exporter.agent import archive
from tests.support.nvml_library import NvmlLibrary
from tests.support.pythons import PYTHONS

COMPARED = """\
The agent as `join` installs it, on each Python of this machine: registered over HTTP, with a heartbeat every 30 s, and
with GPUs of a stand-in for NVIDIA's library, which the real binding loads and which costs more than a driver's calls
(it reads a file at each). node_exporter of Debian is scraped as often. Resident memory and processor time by /proc, all
at the same time, from 10 s after the start on; at the end of it the registry still shows each node as active."""
GPUS = (0, 2, 8)
SETTLE_SECONDS = 10
MB = 10**6


@dataclass(frozen=True, slots=True)
class Guest:
    """A process on the node, what it is called, and how large its program is."""

    label: str
    pid: int
    size: int

    def row(self, seconds: float, cpu: float) -> tuple[str, ...]:
        """With the processor time that it took in so many seconds."""
        resident = resident_bytes(self.pid)
        return (self.label, f"{self.size / MB:.2f} MB", f"{resident / MB:.1f} MB", f"{100 * cpu / seconds:.3f} %")


def measure(plan: Plan, directory: Path) -> Section:
    """Everything side by side, for a while."""
    file = directory / archive.NAME
    file.write_bytes(archive.build())
    with contextlib.ExitStack() as stack:
        registry = stack.enter_context(contenders.registry(directory))
        port = free_port()
        program = "prometheus-node-exporter"
        argv = [program, f"--web.listen-address=127.0.0.1:{port}"]
        peer = stack.enter_context(running(argv, port=port, directory=directory))
        guests = [Guest("node_exporter", peer, Path(f"/proc/{peer}/exe").stat().st_size)]
        for python in PYTHONS:
            version = _version(python)
            for gpus in GPUS:
                place = directory / f"{version}-{gpus}"
                place.mkdir()
                pid = stack.enter_context(agent([str(python), "-S", str(file)], registry.port, place, gpus))
                guests.append(Guest(f"agent, Python {version}, {gpus} GPUs", pid, file.stat().st_size))
        time.sleep(SETTLE_SECONDS)
        began, before = time.monotonic(), [cpu_seconds(guest.pid) for guest in guests]
        while time.monotonic() - began < plan.agent_seconds:
            client.scrape(port, gzip=True)
            time.sleep(min(30.0, plan.agent_seconds))
        seconds = time.monotonic() - began
        used = [cpu_seconds(guest.pid) - start for guest, start in zip(guests, before, strict=True)]
        shown = client.scrape(registry.port, gzip=False, query="?name[]=aurora_node_status").body.decode()
        if shown.count('status="active"} 1') != len(guests) - 1:
            raise client.Refused(f"expected {len(guests) - 1} active nodes:\n{shown}")
        rows = [guest.row(seconds, cpu) for guest, cpu in zip(guests, used, strict=True)]
        resident = max(resident_bytes(guest.pid) for guest in guests[1:]) / MB
    targets = [
        Target("the agent's one file", 1, guests[1].size / MB, "MB", at_most=True),
        Target("resident memory of an agent", 20, resident, "MB", at_most=True),
        Target("an agent's share of a core", 0.1, 100 * max(used[1:]) / seconds, "%", at_most=True),
    ]
    return Section("Agent", COMPARED, ("on the node", "program", "resident", "of a core"), rows, targets)


@contextlib.contextmanager
def agent(command: list[str], port: int, directory: Path, gpus: int) -> Iterator[int]:
    """The id of an agent on a node of its own."""
    library = NvmlLibrary(directory)
    library.answer(count=gpus)
    if not gpus:
        library.remove()
    name = f"bench-{directory.name}"
    options = ["--registry", f"http://127.0.0.1:{port}", "--node-name", name, "--state-dir", str(directory / "state")]
    environment = {**os.environ, **library.environment, "AURORA_HEARTBEAT_INTERVAL": "30s"}
    with (directory / "agent.log").open("wb") as log:
        process = subprocess.Popen([*command, *options], env=environment, stdout=log, stderr=log)
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def _version(python: Path) -> str:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
