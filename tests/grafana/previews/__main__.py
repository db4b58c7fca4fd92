"""Draw every dashboard from a Prometheus, as a picture: python -m tests.grafana.previews --prometheus URL."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.grafana.previews.page import WIDTH, page, panels
from tests.grafana.previews.queries import SCRAPE_SECONDS, Prometheus, Values, Window, ask, variables
from tests.support.grafana_data import process

ROOT = Path(__file__).resolve().parents[3]
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


def main() -> None:
    """Write a PNG for each dashboard, and say what Grafana's code finds wrong with it."""
    parser = argparse.ArgumentParser(prog="python -m tests.grafana.previews", description=__doc__)
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090", metavar="URL")
    parser.add_argument("--dashboards", type=Path, default=ROOT / "grafana" / "dashboards", metavar="DIRECTORY")
    parser.add_argument("--to", type=Path, default=ROOT / "docs" / "images", metavar="DIRECTORY")
    parser.add_argument("--only", metavar="NAME", help="one dashboard, by its file's name")
    parser.add_argument("--since", metavar="now-1h", help="instead of each dashboard's own time range")
    parser.add_argument("--ago", type=float, default=0, metavar="SECONDS", help="as it was so long ago")
    parser.add_argument("--scrape-seconds", type=int, default=SCRAPE_SECONDS, help="the data source's scrape interval")
    parser.add_argument("--variable", action="append", default=[], metavar="NAME=VALUE")
    given = parser.parse_args()
    values: Values = dict(one.split("=", 1) for one in given.variable)
    prometheus = Prometheus(given.prometheus, given.scrape_seconds)
    given.to.mkdir(parents=True, exist_ok=True)
    for file in sorted(given.dashboards.glob(f"{given.only or '*'}.json")):
        dashboard = json.loads(file.read_text())
        picture = given.to / f"dashboard-{file.stem}.png"
        window = Window.of(given.since or dashboard["time"]["from"], time.time() - given.ago, given.scrape_seconds)
        for line in draw(dashboard, prometheus, window, values, picture):
            sys.stdout.write(f"{file.stem}: {line}\n")
        sys.stdout.write(f"{picture} ({picture.stat().st_size // 1024} kB)\n")


def draw(dashboard: Any, prometheus: Prometheus, window: Window, given: Values, picture: Path) -> list[str]:
    """Write the picture; what was found wrong on the way."""
    values = variables(dashboard, prometheus, window, given)
    asked = [ask(panel, values, prometheus, window) for panel in panels(dashboard)]
    shown = process(asked)
    text, height = page(dashboard, shown, values, round(window.start * 1000), round(window.end * 1000))
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory) / "page.html"
        source.write_text(text)
        photograph(source, height, picture, Path(directory) / "profile")
    return [
        f"{panel.get('title', '')}: {problem.kind}: {problem.text}"
        for panel, one in zip(panels(dashboard), shown, strict=True)
        for problem in one.problems
    ]


def photograph(source: Path, height: int, picture: Path, profile: Path) -> None:
    """The page as headless Chromium sees it."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or "chromium"
    size = f"--window-size={WIDTH},{height}"
    command = [chromium, *QUIET, f"--user-data-dir={profile}", size, f"--screenshot={picture}"]
    subprocess.run([*command, source.as_uri()], check=True, capture_output=True, timeout=120)


if __name__ == "__main__":
    main()
