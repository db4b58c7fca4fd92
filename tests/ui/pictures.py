"""Draw the status page for README and docs: `python -m tests.ui.pictures`, of a mesh of 40 that really runs."""

from __future__ import annotations

import random
import shutil
import tempfile
import threading
from itertools import product
from pathlib import Path
from typing import Any

import requests
from playwright.sync_api import sync_playwright

from tests.support.registry_process import ROOT, RegistryProcess
from tests.support.server_process import until

IMAGES = ROOT / "docs" / "images"
THRESHOLDS = {"heartbeat_interval": "1s", "warning_after": "6s", "offline_after": "10s"}
SITES = ("attic", "basement", "garage", "loft", "office")
NAMES = [f"{name}-{number}" for number, name in product(range(1, 9), ("iris", "juno", "lyra", "nova", "vega"))]
OFFLINE = {"juno-2", "lyra-3", "nova-5", "iris-7"}
PLANNED = "vega-4"
PHONE = {"width": 390, "height": 844}
WIDE = {"width": 1280, "height": 900}


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
    with (
        tempfile.TemporaryDirectory() as directory,
        RegistryProcess(Path(directory), settings={"thresholds": THRESHOLDS}) as registry,
        sync_playwright() as playwright,
    ):
        for index, name in enumerate(NAMES):
            assert registry.register(**registration(index, name)) == 201
        registry.ask("PUT", f"/nodes/{PLANNED}/maintenance", json={"reason": "new fans"})
        ended = threading.Event()
        heart = threading.Thread(target=beat, args=(registry, ended))
        heart.start()
        try:
            until(lambda: {name for name, status in registry.statuses().items() if status == "offline"}, OFFLINE)
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            for picture, path, scheme, size, whole in (
                ("status-page", "/", "light", WIDE, True),
                ("status-page-dark", "/", "dark", WIDE, True),
                ("status-page-phone", "/", "light", PHONE, False),
                ("status-page-node", "/ui/nodes/juno-1", "dark", WIDE, False),
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
