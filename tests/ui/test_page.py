"""The status page, in a real Chromium, over a real registry."""

from __future__ import annotations

import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
import requests
from playwright.sync_api import expect

from tests.ui.conftest import OPERATOR_TOKEN

HERE = Path(__file__).parent
NODE = HERE / "node"
pytestmark = pytest.mark.servers
CALM = {"thresholds": {"warning_after": "1h", "offline_after": "2h"}}
PHONE = {"viewport": {"width": 390, "height": 844}}
HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=2</script>'


def tile(page, name):
    return page.get_by_role("link", name=f"{name}: ")


def test_a_node_appears_warns_goes_offline_and_returns_without_a_reload(registry, open_page):
    page = open_page()
    expect(page.get_by_role("heading", level=1)).to_have_text("No node is registered yet")
    expect(page.get_by_text("/join | sh")).to_be_visible()

    registry.register(name="vengeance", role="compute", metadata={"site": "attic"})
    expect(tile(page, "vengeance")).to_have_attribute("class", "tile active")
    expect(page.get_by_role("heading", level=1)).to_have_text("The mesh is healthy")
    expect(tile(page, "vengeance")).to_have_attribute("class", "tile warning")
    expect(page.get_by_role("heading", level=1)).to_have_text("Nodes are missing heartbeats")
    expect(tile(page, "vengeance")).to_have_attribute("class", "tile offline")
    expect(page.locator(".problems")).to_contain_text("Nothing suppresses its alerts")
    registry.ask("POST", "/nodes/vengeance/heartbeat")
    expect(tile(page, "vengeance")).to_have_attribute("class", "tile active")
    registry.ask("DELETE", "/nodes/vengeance")
    expect(page.get_by_text("Add the first node")).to_be_visible()


def test_filters_live_in_the_address(registry, open_page):
    for name, role in (("prometheus", "lead"), ("vengeance", "compute"), ("serenity", "compute")):
        registry.register(name=name, role=role)
    page = open_page("/?view=table&role=compute")
    rows = page.locator(".rows .row")

    expect(rows).to_have_count(2)
    page.get_by_label("Search nodes").fill("seren")
    expect(rows).to_have_count(1)
    assert "q=seren" in page.url
    page.reload()
    expect(rows).to_have_count(1)


def test_topology_and_timeline_are_drawn(registry, open_page):
    registry.register(name="prometheus", role="lead")
    registry.register(name="vengeance", capabilities={"gpu": True})
    page = open_page()

    expect(page.locator(".topology circle")).to_have_count(2)
    expect(page.locator(".topology line")).to_have_count(1)
    expect(page.locator("figcaption")).to_have_text("1 link: vpn_mesh, db_replication, gpu_mesh")
    expect(page.locator(".strips .strip").first).to_be_visible()


def test_a_page_of_its_own_and_maintenance_from_it(registry, open_page):
    registry.register(name="vengeance", vpn_ip="10.0.0.4", capabilities={"gpu": True, "gpu_memory": 24})
    reading = {"index": 0, "utilization": 0.5, "memory_used_bytes": 12 * 2**30}
    registry.ask("POST", "/nodes/vengeance/heartbeat", json={"gpus": [reading]})
    page = open_page("/ui/nodes/vengeance")
    expect(page.get_by_text("10.0.0.4")).to_be_visible()
    expect(page.get_by_role("img", name="load 50 %")).to_be_visible()

    page.get_by_role("button", name="Maintenance…").click()
    page.get_by_label("Reason").fill("new fans")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("button", name="End maintenance")).to_be_visible()
    assert registry.nodes()["vengeance"]["lifecycle_reason"] == "new fans"
    page.get_by_role("button", name="End maintenance").click()
    expect(page.get_by_role("button", name="End maintenance")).to_have_count(0)


def test_a_name_that_is_not_registered_is_said(open_page):
    page = open_page("/ui/nodes/nope", tolerant=True)

    expect(page.get_by_text("No node of this name is registered.")).to_be_visible()


def test_labels_of_forty_nodes_lie_over_no_other(registry, open_page):
    for number in range(40):
        registry.register(name=f"gpu-node-{number:02}.berlin", role="compute" if number else "lead")
    page = open_page()
    expect(page.locator(".topology text")).to_have_count(40)

    assert page.evaluate(OVERLAPPING) == []


@pytest.mark.parametrize("settings", [{}, PHONE], ids=["wide", "phone"])
def test_long_names_are_cut_in_the_topology_and_not_by_its_edge(registry, open_page, settings):
    registry.register(name="aurora", role="lead")
    for letter in "abcd":
        registry.register(name=letter * 63)
    page = open_page(**settings)
    expect(page.locator(".topology text")).to_have_count(5)

    outside = page.evaluate("""() => {
      const card = document.querySelector(".topology").closest(".card").getBoundingClientRect();
      const boxes = [...document.querySelectorAll(".topology text")].map((text) => text.getBoundingClientRect());
      return boxes.filter((box) => box.left < card.left || box.right > card.right).length;
    }""")

    assert outside == 0


def test_times_are_those_of_the_reader(registry, open_page):
    registry.register(name="vengeance")
    registry.ask("PUT", "/nodes/vengeance/maintenance", json={"until": "2030-01-01T12:00:00Z"})
    page = open_page("/ui/nodes/vengeance", timezone_id="Asia/Kolkata", locale="en-GB")

    expect(page.locator(".why")).to_contain_text("it is in maintenance until 01/01/2030 17:30:00")
    expect(page.locator("dl")).to_contain_text("maintenance until 01/01/2030 17:30:00")
    expect(page.locator("footer")).to_contain_text("Times are local: Asia/")


AGES = {0: "0 s", 99.9: "99 s", 100: "1 min 40 s", 600: "10 min", 5999: "99 min", 6000: "1 h 40 min"}
AGES |= {172_799: "47 h 59 min", 172_800: "2 days", 259_199: "2 days 23 h", -5: "0 s"}


def test_ages_are_counted_in_whole_units(open_page):
    page = open_page()
    expect(page.get_by_role("heading", level=1)).to_have_text("No node is registered yet")

    shown = page.evaluate("async (all) => all.map((await import('/ui/format.js')).age)", list(AGES))

    assert dict(zip(AGES, shown, strict=True)) == AGES


def test_a_table_shows_lifecycle_beside_status(registry, open_page):
    """Whole, on a phone too."""
    registry.register(name="vengeance")
    registry.ask("PUT", "/nodes/vengeance/maintenance", json={})
    page = open_page("/?view=table", **PHONE)
    badge = page.locator(".row .badge.planned")
    expect(badge).to_have_text("maintenance")

    assert badge.evaluate(WITHIN_ITS_CELL)


WITHIN_ITS_CELL = """(badge) => {
  const [inner, cell] = [badge.getBoundingClientRect(), badge.closest("[role=cell]").getBoundingClientRect()];
  return inner.left >= cell.left && inner.right <= cell.right && inner.top >= cell.top && inner.bottom <= cell.bottom;
}"""


OVERLAPPING = """() => {
  // Labels as they lie on the screen, turned or not: their corners, compared along both directions of each label.
  const boxes = [...document.querySelectorAll(".topology text")].map((text) => {
    const { x, y, width, height } = text.getBBox();
    const matrix = text.getScreenCTM();
    const inset = height * 0.2;
    return {
      name: text.textContent,
      corners: [[x, y + inset], [x + width, y + inset], [x + width, y + height - inset], [x, y + height - inset]]
        .map(([a, b]) => new DOMPoint(a, b).matrixTransform(matrix)),
    };
  });
  const apart = (one, other) => [[0, 1], [1, 2]].some(([from, to]) => {
    const [dx, dy] = [one.corners[to].x - one.corners[from].x, one.corners[to].y - one.corners[from].y];
    const [first, second] = [one, other].map((box) => box.corners.map((corner) => corner.x * dx + corner.y * dy));
    return Math.max(...first) < Math.min(...second) || Math.max(...second) < Math.min(...first);
  });
  const found = [];
  boxes.forEach((one, index) => boxes.slice(index + 1).forEach((other) => {
    if (!apart(one, other) && !apart(other, one)) found.push(`${one.name} ${other.name}`);
  }));
  return found;
}"""


@pytest.mark.parametrize("registry", [{"auth": {"operator_token_file": "tokens"}}], indirect=True)
def test_maintenance_by_an_operators_token(registry, open_page):
    by = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}
    assert registry.ask("POST", "/nodes/register", json={"name": "vengeance"}, headers=by).status_code == 201
    page = open_page("/ui/nodes/vengeance", tolerant=True)
    expect(page.get_by_role("button", name="Maintenance…")).to_be_disabled()
    expect(page.get_by_text("Read only: this needs an operator token")).to_be_visible()

    sign_in(page, "not-the-token-but-as-long-as-one-is")
    expect(page.get_by_role("button", name="Maintenance…")).to_be_disabled()
    sign_in(page, OPERATOR_TOKEN)
    page.get_by_role("button", name="Maintenance…").click()
    page.get_by_label("Reason").fill("new fans")
    page.get_by_role("button", name="Start").click()

    expect(page.get_by_role("button", name="End maintenance")).to_be_visible()
    assert registry.nodes()["vengeance"]["lifecycle_reason"] == "new fans"
    assert OPERATOR_TOKEN not in page.content()
    assert page.context.cookies() == []
    page.evaluate("sessionStorage.clear()")
    page.reload()
    expect(page.get_by_role("button", name="End maintenance")).to_be_disabled()


def sign_in(page, token):
    page.get_by_role("button", name="Use an operator token…").click()
    page.get_by_label("Operator token").fill(token)
    page.get_by_role("button", name="Use it").click()


def test_a_cut_stream_is_said_and_taken_up_again(registry, open_page):
    registry.register(name="vengeance")
    page = open_page(tolerant=True)
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    registry.stop()
    expect(page.get_by_text("Not live")).to_be_visible()
    registry.start()
    registry.register(name="serenity")
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    expect(tile(page, "serenity")).to_be_visible()


def test_hostile_texts_are_texts(registry, open_page):
    status = registry.register(name="vengeance", metadata={"site": HOSTILE[:60], "os": HOSTILE})
    assert status == 201
    page = open_page()
    expect(page.locator(".group h3")).to_contain_text("<img src=x")
    page.goto(f"{registry.url}/ui/nodes/vengeance")
    expect(page.get_by_text("<script>").last).to_be_visible()
    assert page.title().startswith("vengeance")
    assert page.locator("main img").count() == 0


def test_the_keyboard_alone_is_enough(registry, open_page):
    registry.register(name="vengeance")
    page = open_page()
    expect(tile(page, "vengeance")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to content")).to_be_focused()
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.classList.contains('tile')"):
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("vengeance")


@pytest.mark.parametrize("settings", [{}, {"color_scheme": "dark"}, PHONE], ids=["light", "dark", "phone"])
@pytest.mark.parametrize("path", ["/", "/?view=table", "/ui/nodes/vengeance"])
def test_axe_finds_nothing_serious_and_nothing_overflows(registry, open_page, path, settings):
    registry.register(name="prometheus", role="lead")
    registry.register(name="vengeance", capabilities={"gpu": True, "gpu_memory": 24}, metadata={"site": "attic"})
    page = open_page(path, bypass_csp=True, reduced_motion="reduce", **settings)
    expect(page.get_by_text("vengeance").first).to_be_visible()
    page.add_script_tag(path=NODE / "node_modules" / "axe-core" / "axe.min.js")

    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")

    serious = [
        (each["id"], [node["html"] for node in each["nodes"]])
        for each in found["violations"]
        if each["impact"] in {"serious", "critical"}
    ]
    assert serious == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("registry", [CALM], indirect=True)
@pytest.mark.parametrize("view", ["tiles", "table"])
def test_among_five_thousand_nodes_a_change_touches_few_elements(registry, open_page, view):
    """What one change costs does not depend on the mesh's size; `python -m benchmarks --only page` has the times."""
    register_many(registry, 5000)
    page = open_page(f"/?view={view}")
    expect(page.locator(".counts")).to_contain_text("5000")
    if view == "tiles":
        expect(page.locator(".tile")).to_have_count(5000)
        counts = page.evaluate(TILES_BY_FRAME)
        assert counts[-1] == 5000
        assert max(later - earlier for earlier, later in pairwise(counts)) < 1000
    others = page.evaluate("document.querySelectorAll('*:not(.tile)').length")

    recoloured = [touched(page, registry, "PUT", f"/nodes/node-{number:04}/maintenance") for number in range(3)]
    removed = [touched(page, registry, "DELETE", f"/nodes/node-{number:04}") for number in range(3)]

    assert others < 600
    # The least of three: what else the page did meanwhile, such as counting seconds, does not belong to the change.
    assert 0 < min(recoloured) < 100
    rows_in_sight = 40
    assert 0 < min(removed) < 100 + (2 * rows_in_sight if view == "table" else 0)


TILES_BY_FRAME = """() => new Promise((resolve) => {
  document.querySelector(".brand").click();
  const counts = [0];
  const look = () => {
    counts.push(document.querySelectorAll(".tile").length);
    if (counts.at(-1) === 5000) resolve(counts);
    else requestAnimationFrame(look);
  };
  look();
})"""
"""How many tiles there are at each frame after the view is opened again."""


def touched(page, registry, method, path):
    """How many nodes of the document were added, removed or rewritten until the page shows the change."""
    page.evaluate(WATCH)
    answer = registry.ask(method, path, json={} if method == "PUT" else None)
    assert answer.status_code < 300
    return page.evaluate("drawn.then(() => watching.count)")


WATCH = """async () => {
  const { listeners } = await import("/ui/data.js");
  window.watching?.disconnect();
  const watching = new MutationObserver((changes) => {
    for (const each of changes) {
      if (each.type !== "childList") watching.count += 1;
      for (const node of [...each.addedNodes, ...each.removedNodes]) {
        watching.count += 1 + (node instanceof Element ? node.querySelectorAll("*").length : 0);
      }
    }
  });
  watching.count = 0;
  watching.observe(document.querySelector("main"), {
    attributes: true, characterData: true, childList: true, subtree: true,
  });
  window.watching = watching;
  window.drawn = new Promise((resolve) => {
    const listener = (changed) => {
      if (!changed?.size) return;
      listeners.delete(listener);
      requestAnimationFrame(() => requestAnimationFrame(resolve));
    };
    listeners.add(listener);
  });
}"""


def register_many(registry, count):
    with requests.Session() as session:
        for number in range(count):
            facts = {"name": f"node-{number:04}", "metadata": {"site": f"site-{number % 12}"}}
            assert session.post(f"{registry.url}/nodes/register", json=facts, timeout=30).status_code == 201


def test_its_types_hold():
    """The JSDoc types of the page's modules, by TypeScript's own compiler."""
    compiler = NODE / "node_modules" / "typescript" / "bin" / "tsc"
    done = subprocess.run(["node", compiler, "-p", NODE], capture_output=True, text=True, check=False, timeout=110)
    assert (done.returncode, done.stdout) == (0, "")
