"""What one change costs a browser that shows the status page of a large mesh."""

from __future__ import annotations

import shutil
import statistics
import time
from pathlib import Path

import requests
from playwright.sync_api import Browser, CDPSession, sync_playwright

from benchmarks import contenders, population
from benchmarks.contenders import Process
from benchmarks.plan import Plan
from benchmarks.report import Section, Target

COMPARED = """\
Chromium without a window shows the page while nodes go into maintenance and out of it, one every 200 ms. *Until drawn*:
from the event's arrival until the frame that shows it is done, which waits for the screen's next refresh (16.7 ms) too.
*Work*: what the main thread did in all, by change: scripts, style, layout, painting, and the page's own clock. Registry
and browser share the cores."""
PAUSE_SECONDS = 0.2
TIME_EACH = """async () => {
  const { listeners } = await import("/ui/data.js");
  window.times = [];
  listeners.add((changed) => {
    if (!changed?.size) return;
    const began = performance.now();
    requestAnimationFrame(() => setTimeout(() => times.push(performance.now() - began)));
  });
}"""


def measure(plan: Plan, directory: Path) -> Section:
    """Both views."""
    with contenders.registry(directory) as registry:
        population.register(registry.port, plan.page_nodes)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            found = {view: _changes(browser, registry, view, plan.page_changes) for view in ("tiles", "table")}
            browser.close()
    rows = [
        (
            f"{plan.page_nodes:,} nodes, {view}",
            f"{statistics.median(times):.1f} ms",
            f"{max(times):.1f} ms",
            f"{work:.1f} ms",
        )
        for view, (times, work) in found.items()
    ]
    slowest = max(statistics.median(times) for times, _ in found.values())
    target = Target(f"a change among {plan.page_nodes:,} nodes is drawn within", 50, slowest, "ms", at_most=True)
    return Section("The status page", COMPARED, ("one change", "until drawn, p50", "max", "work"), rows, [target])


def _changes(browser: Browser, registry: Process, view: str, changes: int) -> tuple[list[float], float]:
    """Milliseconds until each was drawn, and the work of one."""
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{registry.port}/?view={view}")
    page.locator(".tile, .rows .row").first.wait_for()
    page.wait_for_timeout(3000)
    page.evaluate(TIME_EACH)
    counters = page.context.new_cdp_session(page)
    counters.send("Performance.enable")
    before = _work_ms(counters)
    for index in range(changes):
        method = "DELETE" if view == "table" else "PUT"
        url = f"http://127.0.0.1:{registry.port}/nodes/{population.name(index)}/maintenance"
        requests.request(method, url, json={"reason": "measured"}, timeout=10).raise_for_status()
        time.sleep(PAUSE_SECONDS)
    work = (_work_ms(counters) - before) / changes
    times: list[float] = page.evaluate("times")
    page.close()
    return times, work


def _work_ms(counters: CDPSession) -> float:
    metrics = counters.send("Performance.getMetrics")["metrics"]
    seconds: float = next(each["value"] for each in metrics if each["name"] == "TaskDuration")
    return 1000 * seconds
