/** The page at /: the verdict, what is wrong, and all nodes. */

import { gpuCount, json, nodes, planned, site, state } from "./data.js";
import { h, setText } from "./dom.js";
import { amend, chosen, filters, setFilter } from "./filters.js";
import { age, counted, nodePage, nodePath } from "./format.js";
import { Table, Tiles } from "./nodelist.js";
import { explain } from "./nodeview.js";
import { timeline, topology } from "./pictures.js";

const MOST_PROBLEMS = 12;

/** The overview. */
export class Overview {
  constructor() {
    this.table = new Table();
    this.tiles = new Tiles();
    this.verdict = h("h1", { class: "verdict" }, "Loading");
    this.counts = h("ul", { class: "counts" });
    this.problems = h("ul", { class: "problems" });
    this.wrong = h("section", { class: "card wrong", hidden: true }, h("h2", {}, "What is wrong"), this.problems);
    this.alerts = h("section", { class: "card", hidden: true });
    this.list = h("div");
    this.found = h("p", { class: "muted", role: "status" });
    this.search = h("input", { type: "search", "aria-label": "Search nodes", placeholder: "Search nodes, sites, GPUs", oninput: () => this.filter("q", this.search.value) });
    this.status = this.select("status", "Any status", ["active", "warning", "offline", "planned", "held"]);
    this.role = this.select("role", "Any role", []);
    this.site = this.select("site", "Any site", []);
    this.sort = this.select("sort", "Worst first", ["name", "age"], { name: "By name", age: "Oldest heartbeat first" });
    this.views = ["tiles", "table"].map((view) => h("button", { type: "button", onclick: () => this.filter("view", view) }, view === "tiles" ? "Tiles" : "Table"));
    this.topology = h("div", { class: "picture" });
    this.timeline = h("div", { class: "picture" });
    this.nodes = h("section", { class: "card" },
      h("div", { class: "bar-of-tools" }, h("h2", {}, "Nodes"), this.search, this.status, this.role, this.site, this.sort, h("div", { class: "switch", role: "group", "aria-label": "Show nodes as" }, ...this.views)),
      this.found, this.list);
    this.rest = h("div", { class: "columns" },
      h("section", { class: "card" }, h("h2", {}, "Topology"), this.topology),
      h("section", { class: "card" }, h("h2", {}, "The last 24 hours"), this.timeline));
    this.empty = h("section", { class: "card", hidden: true });
    this.element = h("div", {}, h("section", { class: "hero" }, this.verdict, this.counts), this.wrong, this.alerts, this.empty, this.nodes, this.rest);
    /** @type {Map<string, {text: string, line: HTMLElement}>} */
    this.lines = new Map();
    this.stale = true;
    this.drawing = 0;
    this.shape = "";
    /** @type {import("./data.js").NodeDoc[]} */
    this.rows = [];
  }

  /**
   * @param {string} key
   * @param {string} any
   * @param {string[]} options
   * @param {Record<string, string>} [texts]
   */
  select(key, any, options, texts = {}) {
    const select = h("select", { "aria-label": any, onchange: () => this.filter(key, select.value) }, h("option", { value: "" }, any), ...options.map((option) => h("option", { value: option }, texts[option] ?? option)));
    return select;
  }

  /**
   * @param {string} key
   * @param {string} value
   */
  filter(key, value) {
    setFilter(key, value);
    this.drawNodes();
  }

  /** @param {Set<string> | null} changed */
  show(changed) {
    if (!state.loaded) return;
    this.drawVerdict();
    if (changed?.size !== 0) {
      this.drawCounts();
      this.stale = true;
      this.drawNodes(changed);
    }
  }

  drawVerdict() {
    const verdict = state.verdict;
    if (!verdict) return;
    this.verdict.className = `verdict ${verdict.state}`;
    setText(this.verdict, verdict.text);
    document.title = `${verdict.healthy ? "" : "! "}${verdict.text} – Aurora`;
    const shown = verdict.problems.slice(0, MOST_PROBLEMS);
    const keys = new Set();
    shown.forEach((problem, index) => {
      const key = `${problem.alert} ${problem.node ?? ""} ${problem.site ?? ""}`;
      keys.add(key);
      let entry = this.lines.get(key);
      if (!entry || entry.text !== problem.text) {
        const line = this.line(problem);
        entry?.line.remove();
        entry = { text: problem.text, line };
        this.lines.set(key, entry);
      }
      if (this.problems.children[index] !== entry.line) this.problems.insertBefore(entry.line, this.problems.children[index] ?? null);
    });
    for (const [key, entry] of this.lines) {
      if (keys.has(key)) continue;
      entry.line.remove();
      this.lines.delete(key);
    }
    const more = verdict.problems.length + verdict.problems_omitted - shown.length;
    this.wrong.querySelector(".more")?.remove();
    if (more > 0) this.wrong.append(h("p", { class: "muted more" }, `and ${more} more`));
    this.wrong.hidden = shown.length === 0;
  }

  /** @param {import("./data.js").Trouble} problem */
  line(problem) {
    const why = h("span", { class: "muted", "data-node": problem.node });
    explainIn(why);
    return h("li", { class: problem.state },
      h("span", { class: "dotmark", "aria-hidden": "true" }),
      h("div", {}, h("strong", {}, problem.node ? h("a", { href: nodePage(problem.node) }, problem.node) : problem.site ? h("a", { href: `/?${new URLSearchParams({ site: problem.site })}` }, problem.site) : "Registry and mesh"), ` ${problem.text}. `, why),
      h("a", { class: "runbook", href: problem.runbook, rel: "noreferrer", "aria-label": `Runbook of ${problem.alert}` }, problem.alert));
  }

  /** What is said of ages gets old. */
  explainAgain() {
    for (const why of this.problems.querySelectorAll("[data-node]")) explainIn(/** @type {HTMLElement} */ (why));
  }

  drawCounts() {
    const count = /** @type {Record<string, number>} */ ({ active: 0, warning: 0, offline: 0, planned: 0 });
    let [gpus, active] = [0, 0];
    for (const node of nodes.values()) {
      count[node.status] += 1;
      if (planned(node)) count.planned += 1;
      gpus += gpuCount(node);
      if (node.status === "active") active += gpuCount(node);
    }
    const entries = [["Nodes", nodes.size, ""], ["Active", count.active, "active"], ["Warning", count.warning, "warning"], ["Offline", count.offline, "offline"], ["Planned", count.planned, "planned"], ["GPUs active", `${active} / ${gpus}`, ""]];
    const text = JSON.stringify(entries);
    if (this.counts.dataset.text === text) return;
    this.counts.dataset.text = text;
    this.counts.replaceChildren(...entries.map(([label, value, kind]) => h("li", { class: value ? String(kind) : "" }, h("b", {}, value), h("span", {}, label))));
  }

  /** @param {Set<string> | null} [changed] */
  drawNodes(changed = null) {
    const wish = filters();
    const few = nodes.size === 0;
    this.empty.hidden = !few;
    this.nodes.hidden = this.rest.hidden = few;
    if (few) {
      this.drawEmpty();
      return;
    }
    const view = wish.view || "tiles";
    this.views.forEach((button, index) => button.setAttribute("aria-pressed", String(view === ["tiles", "table"][index])));
    if (this.search.value !== wish.q && document.activeElement !== this.search) this.search.value = wish.q;
    const element = view === "tiles" ? this.tiles.element : this.table.element;
    const shape = location.search;
    const known = shape === this.shape && this.list.firstChild === element ? changed : null;
    this.rows = known ? amend(this.rows, known) : chosen();
    this.shape = shape;
    this.options(this.role, new Set([...nodes.values()].map((node) => node.role)), wish.role);
    this.options(this.site, new Set([...nodes.values()].map(site)), wish.site);
    this.status.value = wish.status;
    this.sort.value = wish.sort;
    setText(this.found, this.rows.length === nodes.size ? "" : `${this.rows.length} of ${counted(nodes.size, "node")}`);
    if (this.list.firstChild !== element) this.list.replaceChildren(element);
    if (view === "tiles") this.tiles.show(this.rows, known);
    else this.table.show(this.rows);
  }

  /**
   * @param {HTMLSelectElement} select
   * @param {Set<string>} values
   * @param {string} value
   */
  options(select, values, value) {
    values.delete("");
    const sorted = [...values].sort();
    if (value && !values.has(value)) sorted.push(value);
    const text = sorted.join("\n");
    if (select.dataset.text !== text) {
      select.dataset.text = text;
      select.replaceChildren(select.options[0], ...sorted.map((each) => h("option", { value: each }, each)));
    }
    select.value = value;
  }

  drawEmpty() {
    if (this.empty.firstChild) return;
    const join = `curl -fsSL ${location.origin}/join | sh`;
    const seed = `curl -X POST ${location.origin}/nodes/register -H 'Content-Type: application/json' -d '{"name": "vengeance", "role": "compute", "vpn_ip": "10.0.0.4", "capabilities": {"gpu": true, "gpu_count": 1, "gpu_type": "RTX 4090", "gpu_memory": 24}}'`;
    this.empty.replaceChildren(h("h2", {}, "Add the first node"), h("p", {}, "On the machine that is to be a node:"), command(join),
      h("p", {}, "Or register one by hand; without heartbeats it is in warning two minutes later:"), command(seed), h("p", { class: "muted" }, "It appears here by itself."));
  }

  async tick() {
    this.table.tick();
    if (!this.stale || !nodes.size || this.drawing || document.visibilityState !== "visible") return;
    this.stale = false;
    this.drawing = window.setTimeout(() => (this.drawing = 0), nodes.size > 500 ? 15000 : 3000);
    const [picture, strips] = await Promise.all([topology().catch(() => null), timeline().catch(() => null)]);
    if (picture && !this.topology.contains(document.activeElement)) this.topology.replaceChildren(picture);
    if (strips && !this.timeline.contains(document.activeElement)) this.timeline.replaceChildren(strips);
  }

  async drawAlerts() {
    const answer = await json("/alerts").catch(() => null);
    this.alerts.hidden = !answer?.configured;
    if (!answer?.configured) return;
    const lines = answer.alerts.map((/** @type {any} */ alert) => h("li", { class: alert.severity === "critical" ? "offline" : alert.severity === "warning" ? "warning" : "planned" },
      h("span", { class: "dotmark", "aria-hidden": "true" }),
      h("div", {}, h("strong", {}, alert.name), ` ${alert.summary} `, h("span", { class: "muted" }, alert.since ? `for ${age((Date.now() - Date.parse(alert.since)) / 1000)}` : "")),
      alert.runbook ? h("a", { class: "runbook", href: alert.runbook, rel: "noreferrer" }, "Runbook") : null));
    const text = answer.error || (lines.length ? "" : "No alert fires.");
    this.alerts.replaceChildren(h("h2", {}, "Alerts firing in Prometheus"), h("ul", { class: "problems" }, ...lines), text ? h("p", { class: "muted" }, text) : "");
  }
}

/** @param {HTMLElement} why */
function explainIn(why) {
  const name = why.dataset.node;
  if (name) json(`${nodePath(name)}/why`).then((answer) => setText(why, explain(answer)), () => {});
}

/** @param {string} text */
function command(text) {
  const button = h("button", { type: "button", onclick: async () => {
    await navigator.clipboard?.writeText(text);
    button.textContent = "Copied";
  } }, "Copy");
  return h("div", { class: "command" }, h("code", {}, text), button);
}
