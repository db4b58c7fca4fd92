/** What the address asks for is shown, and goes on being shown as things change. */

import { follow, judge, listeners, loadSession, refresh, state } from "./data.js";
import { h, setText } from "./dom.js";
import { NodeView } from "./nodeview.js";
import { Overview } from "./overview.js";

const PREFIX = "/ui/nodes/";
const live = /** @type {HTMLElement} */ (document.getElementById("live"));
const main = /** @type {HTMLElement} */ (document.getElementById("main"));
const foot = /** @type {HTMLElement} */ (document.getElementById("foot"));

/** @type {Overview | NodeView} */
let view;

function open() {
  const path = location.pathname;
  view = path.startsWith(PREFIX) ? new NodeView(decodeURIComponent(path.slice(PREFIX.length))) : new Overview();
  main.replaceChildren(view.element);
  if (view instanceof NodeView) document.title = `${view.name} – Aurora`;
  view.show(null);
  if (view instanceof Overview) view.drawAlerts();
}

/** @param {MouseEvent} event */
function stay(event) {
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  const href = link?.getAttribute("href") ?? "";
  const ours = href === "/" || href.startsWith("/?") || href.startsWith(PREFIX);
  if (!ours || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  history.pushState(null, "", href);
  open();
  scrollTo(0, 0);
  main.focus({ preventScroll: true });
}

function showStream() {
  const text = { connecting: "Connecting", live: "Live", cut: "Not live: connection lost, trying again" }[state.stream];
  live.className = state.stream;
  live.title = state.reason;
  setText(live, text);
}

function drawFoot() {
  const session = state.session;
  const links = ["/nodes", "/topology", "/stats", session?.telemetry_path ?? "/metrics", "/sd/prometheus", "/openapi.json"];
  foot.replaceChildren(
    h("p", {}, ...links.flatMap((link) => [h("a", { href: link }, link), " "])),
    h("p", { class: "muted" }, "In Prometheus: ", h("code", {}, "sum by (status) (aurora_node_status)"), " ", h("code", {}, "aurora_node_last_seen_age_seconds > 60")),
    h("p", { class: "muted" }, `Aurora Node Registry ${session?.version ?? ""}. Times are local: ${Intl.DateTimeFormat().resolvedOptions().timeZone}.`),
  );
}

/** @type {Set<string> | null} */
let changes = new Set();
let frame = 0;

listeners.add((changed) => {
  showStream();
  if (changed === null || changes === null) changes = null;
  else for (const name of changed) changes.add(name);
  frame ||= requestAnimationFrame(() => {
    frame = 0;
    const all = changes;
    changes = new Set();
    view.show(all);
  });
});

document.addEventListener("click", stay);
addEventListener("popstate", open);
addEventListener("session", () => view.show(null));
await loadSession();
open();
drawFoot();
follow();
refresh();
setInterval(() => view.tick(), 1000);
setInterval(() => {
  judge();
  if (view instanceof Overview) {
    view.drawAlerts();
    view.explainAgain();
  }
}, 10000);
