"""Draw the status page for README and docs: `python -m tests.ui.pictures`.

A mesh of 40 that really runs, over a store that has its last day.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
import threading
from itertools import product
from pathlib import Path
from typing import Any

import requests
from playwright.sync_api import sync_playwright

from exporter.domain.durable import Batch, LastHeartbeat, Mark
from exporter.domain.node import NodeRecord
from exporter.domain.registration import parse_registration
from exporter.domain.status import Status, Transport
from exporter.domain.transition import Transition
from exporter.stores.urls import open_store
from tests.support.durables import NOW
from tests.support.registry_process import ROOT, RegistryProcess
from tests.support.server_process import until

IMAGES = ROOT / "docs" / "images"
MINUTE = 60 * 10**9
SITES = ("attic", "basement", "garage", "loft", "office")
NAMES = [f"{name}-{number}" for number, name in product(range(1, 9), ("iris", "juno", "lyra", "nova", "vega"))]
OFFLINE = {"juno-2": 321, "lyra-3": 47, "nova-5": 12, "iris-7": 1013}
"""Minutes since their last heartbeat."""
OUTAGES = {
    **{name: [(minutes, 0)] for name, minutes in OFFLINE.items()},
    "vega-6": [(1290, 1240), (980, 950), (600, 545), (300, 290), (90, 75)],
    **{name: [(1130, 1050)] for name in ("iris-3", "juno-5", "lyra-2", "nova-4", "vega-1")},
    "lyra-8": [(700, 430)],
    "juno-1": [(1190, 1170), (530, 526)],
}
"""For each node the spans of the last day without heartbeats, in minutes before now."""
PLANNED = "vega-4"
PHONE = {"width": 390, "height": 844}
WIDE = {"width": 1280, "height": 900}


async def remember(url: str) -> None:
    """Write a store as a registry leaves it that ran for a week."""
    records, heartbeats, transitions = {}, {}, []
    for index, name in enumerate(NAMES):
        facts = parse_registration(registration(index, name))
        records[name] = NodeRecord(facts, NOW - 10_000 * MINUTE + index, NOW - 10_000 * MINUTE + index)
        heartbeats[name] = LastHeartbeat(NOW - OFFLINE.get(name, 0) * MINUTE, Transport.HTTP)
        for began, ended in OUTAGES.get(name, []):
            steps = [(began - 2, Status.ACTIVE, Status.WARNING), (began - 5, Status.WARNING, Status.OFFLINE)]
            if ended:
                gone = [step for step in steps if step[0] > ended]
                steps = [*gone, (ended, gone[-1][2], Status.ACTIVE)]
            transitions += [Transition(name, before, after, NOW - at * MINUTE) for at, before, after in steps]
    store = open_store(url)
    await store.open()
    await store.load()
    await store.save(Batch(records, {}, transitions, heartbeats, Mark(NOW)))
    await store.close()


def registration(index: int, name: str) -> dict[str, Any]:
    """A lead, and nodes of which two in three have GPUs."""
    role = "lead" if not index else ("compute", "compute", "storage")[index % 3]
    gpus = {"gpu": True, "gpu_count": 2, "gpu_type": "RTX 4090", "gpu_memory": 48} if role == "compute" else {}
    return {
        "name": name,
        "role": role,
        "vpn_ip": f"10.0.0.{index + 1}",
        "capabilities": gpus,
        "metadata": {"site": SITES[(index * 3 + index // 5) % 5], "os": "ubuntu"},
    }


def beat(registry: RegistryProcess, ended: threading.Event) -> None:
    """Heartbeats of all but those that are to be offline, with readings that wander."""
    rng = random.Random(7)
    with requests.Session() as session:
        while not ended.wait(0.5):
            for index, name in enumerate(NAMES):
                if name in OFFLINE:
                    continue
                gpus = [
                    {
                        "index": number,
                        "utilization": round(rng.uniform(0.4, 0.98), 2),
                        "memory_used_bytes": int(rng.uniform(6, 23) * 2**30),
                        "temperature_celsius": rng.randint(52, 78),
                        "power_watts": rng.randint(180, 410),
                    }
                    for number in (0, 1)
                ]
                body = {"gpus": gpus} if registration(index, name)["capabilities"] else {}
                session.post(f"{registry.url}/nodes/{name}/heartbeat", json=body, timeout=30)


def main() -> None:
    """Light, dark, on a phone, and a node's own page."""
    with tempfile.TemporaryDirectory() as directory:
        store = f"sqlite:///{directory}/mesh.db"
        asyncio.run(remember(store))
        with RegistryProcess(Path(directory), store=store) as registry:
            draw(registry)


def draw(registry: RegistryProcess) -> None:
    """The pictures of this registry's page."""
    with sync_playwright() as playwright:
        registry.ask("PUT", f"/nodes/{PLANNED}/maintenance", json={"reason": "new fans"})
        ended = threading.Event()
        heart = threading.Thread(target=beat, args=(registry, ended))
        heart.start()
        try:
            until(lambda: [name for name, document in registry.nodes().items() if "held" in document], [], within=120)
            until(lambda: {name for name, status in registry.statuses().items() if status == "offline"}, set(OFFLINE))
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            for picture, path, scheme, size, whole in (
                ("status-page", "/", "light", WIDE, True),
                ("status-page-dark", "/", "dark", WIDE, True),
                ("status-page-phone", "/", "light", PHONE, False),
                ("status-page-node", "/ui/nodes/juno-1", "dark", WIDE, True),
            ):
                page = browser.new_page(color_scheme=scheme, viewport=size)  # type: ignore[arg-type]  # of the table
                page.goto(registry.url + path)
                page.wait_for_timeout(3000)
                page.screenshot(path=IMAGES / f"{picture}.png", full_page=whole)
                page.close()
            browser.close()
        finally:
            ended.set()
            heart.join()


if __name__ == "__main__":
    main()
