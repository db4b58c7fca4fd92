/** A node's own page. */

import { actions } from "./actions.js";
import { gpuText, json, nodes, now, site, state } from "./data.js";
import { bar, h, setText } from "./dom.js";
import { age, clock, gigabytes, inLocalTime, nodePath, over, percent, runbook, words } from "./format.js";
import { ageOf, statusBadge } from "./nodelist.js";
import { strip } from "./pictures.js";

/** @typedef {import("./data.js").NodeDoc} NodeDoc */

/**
 * Why the status is what it is, in sentences.
 * @param {any} why the answer of /nodes/NAME/why
 */
export function explain(why) {
  const parts = [`Last heartbeat ${age(why.last_heartbeat.age_seconds)} ago ${over(why.last_heartbeat.transport)}.`];
  if (why.not_counted_seconds >= 1) parts.push(`${age(why.not_counted_seconds)} of it do not count: the registry could not receive.`);
  if (why.held) parts.push("Its status is frozen until the registry receives again.");
  else if (why.next?.in_seconds !== null && why.next) parts.push(`Without a heartbeat it is ${why.next.status} in ${age(why.next.in_seconds)}.`);
  const suppressed = why.suppressed ?? [];
  if (suppressed.length) parts.push(`Its alerts are suppressed: ${inLocalTime(suppressed.join("; "))}.`);
  else if (why.status !== "active") parts.push("Nothing suppresses its alerts.");
  return parts.join(" ");
}

/** The page of one node. */
export class NodeView {
  /** @param {string} name */
  constructor(name) {
    this.name = name;
    this.element = h("article", { class: "node" }, h("h1", {}, name));
    this.age = h("span");
    this.key = "";
  }

  /** @param {Set<string> | null} changed */
  async show(changed) {
    const node = nodes.get(this.name);
    if (changed && !changed.has(this.name)) return;
    if (!node) {
      this.element.replaceChildren(h("h1", {}, this.name), h("p", {}, state.loaded ? "No node of this name is registered." : "Loading"), h("p", {}, h("a", { href: "/" }, "All nodes")));
      return;
    }
    const [why, past] = await Promise.all([
      json(`${nodePath(this.name)}/why`).catch(() => null),
      json(`${nodePath(this.name)}/transitions?limit=100`).catch(() => ({ transitions: [] })),
    ]);
    const key = JSON.stringify([node.status, node.lifecycle, node.lifecycle_until, node.held, past.transitions.length, state.session?.may_write]);
    const structure = key !== this.key;
    this.key = key;
    const open = this.element.contains(document.activeElement) && !structure;
    if (open) return;
    this.draw(node, why, past.transitions);
  }

  /**
   * @param {NodeDoc} node
   * @param {any} why
   * @param {{from: string, to: string, at: string}[]} transitions
   */
  draw(node, why, transitions) {
    this.age = h("span", {}, ageOf(node));
    const facts = [
      ["Last heartbeat", h("span", {}, this.age, ` ago ${over(node.transport)}`)],
      ["Role", node.role],
      ["Site", site(node)],
      ["Environment", node.metadata.environment],
      ["VPN address", node.vpn_ip],
      ["Public address", node.public_ip],
      ["GPUs", gpuText(node)],
      ["VRAM", node.capabilities.gpu_memory ? `${node.capabilities.gpu_memory} GB` : null],
      ["Operating system", node.metadata.os],
      ["Agent", node.agent ? `${node.agent.name} ${node.agent.version ?? ""}` : null],
      ["Reported status", node.reported_status],
      ["Registered", clock(node.registered_at)],
      ["Out of service", node.lifecycle_until ? `${words(node.lifecycle)} until ${clock(node.lifecycle_until)}${node.lifecycle_reason ? `: ${node.lifecycle_reason}` : ""}` : null],
    ].filter(([, value]) => value);
    const day = transitions.filter((each) => Date.parse(each.at) > now() - 86400000);
    const alerts = node.status === "offline" ? ["AuroraNodeOffline"] : node.status === "warning" ? ["AuroraNodeWarning"] : [];
    const prometheus = state.session?.prometheus_url;
    const graph = prometheus && `${prometheus}/graph?${new URLSearchParams({ "g0.expr": `aurora_node_last_seen_age_seconds{node="${node.name}"}`, "g0.tab": "0" })}`;
    const since = transitions.length && transitions[0].to === node.status ? ` since ${clock(transitions[0].at)}` : "";
    this.element.replaceChildren(
      h("p", { class: "crumbs" }, h("a", { href: "/" }, "All nodes")),
      h("h1", {}, node.name, " ", statusBadge(node), h("small", { class: "muted" }, since)),
      why ? h("p", { class: "why" }, explain(why)) : "",
      actions(node),
      h("div", { class: "columns" },
        h("section", { class: "card" }, h("h2", {}, "Facts"), h("dl", {}, ...facts.flatMap(([term, value]) => [h("dt", {}, term), h("dd", {}, value instanceof Node ? value : String(value))]))),
        h("section", { class: "card" }, h("h2", {}, "GPUs"), gpuTable(node))),
      h("section", { class: "card" }, h("h2", {}, "The last 24 hours"), strip(day, node.status, Date.parse(node.registered_at)),
        h("div", { class: "scale muted", "aria-hidden": "true" }, h("span", {}, "24 h ago"), h("span", {}, "12 h"), h("span", {}, "now")),
        transitions.length ? h("ol", { class: "log" }, ...transitions.slice(0, 12).map((each) => h("li", {}, h("time", { datetime: each.at }, clock(each.at)), ` ${each.from} → ${each.to}`))) : h("p", { class: "muted" }, "Its status never changed.")),
      h("section", { class: "card" }, h("h2", {}, "Elsewhere"), h("ul", { class: "plain" },
        ...alerts.map((alert) => h("li", {}, h("a", { href: runbook(alert), rel: "noreferrer" }, `Runbook of ${alert}`))),
        graph ? h("li", {}, h("a", { href: graph, rel: "noreferrer" }, "Age of its heartbeats in Prometheus")) : null,
        h("li", {}, h("a", { href: nodePath(node.name) }, "Its document")),
        h("li", {}, h("a", { href: `${nodePath(node.name)}/why` }, "What its status rests on")),
        h("li", {}, "In Grafana: ", h("code", {}, `/d/aurora-node?var-node=${encodeURIComponent(node.name)}`)),
        h("li", {}, "Badge: ", h("code", {}, `/badge/${encodeURIComponent(node.name)}.svg`)))),
    );
  }

  tick() {
    const node = nodes.get(this.name);
    if (node) setText(this.age, ageOf(node));
  }
}

/** @param {NodeDoc} node */
function gpuTable(node) {
  const gpus = node.gpus ?? [];
  if (!gpus.length) return h("p", { class: "muted" }, node.capabilities.gpu ? "Its heartbeats carry no readings." : "It has none.");
  const each = ((Number(node.capabilities.gpu_memory) || 0) * 2 ** 30) / Math.max(1, Number(node.capabilities.gpu_count) || 1);
  return h("table", {}, h("thead", {}, h("tr", {}, ...["GPU", "Load", "VRAM", "Heat", "Power"].map((t) => h("th", { scope: "col" }, t)))),
    h("tbody", {}, ...gpus.map((gpu) => h("tr", {}, h("td", {}, gpu.index),
      h("td", {}, bar("load", gpu.utilization ?? null, percent(gpu.utilization ?? 0))),
      h("td", {}, bar("VRAM", gpu.memory_used_bytes === undefined || !each ? null : gpu.memory_used_bytes / each, `${gigabytes(gpu.memory_used_bytes ?? 0)} GB`)),
      h("td", {}, gpu.temperature_celsius === undefined ? "–" : `${Math.round(gpu.temperature_celsius)} °C`),
      h("td", {}, gpu.power_watts === undefined ? "–" : `${Math.round(gpu.power_watts)} W`)))));
}
