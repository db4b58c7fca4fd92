/** The topology and the last 24 hours, drawn as SVG. */

import { json, look, nodes, now, site } from "./data.js";
import { h, svg } from "./dom.js";
import { clock, counted, nodePage } from "./format.js";

const MOST_NODES = 120;
const MOST_LINES = 15;
/** More dots than these have their labels turned outwards, so that none lies over another. */
const MOST_UPRIGHT = 14;
/** More dots than these are labelled where something is wrong alone. */
const MOST_LABELS = 90;
const LONGEST_LABEL = 17;
const LONGEST_UPRIGHT = 20;
const DAY = 86400000;

/** @typedef {{id: string, label: string, class: string, href: string, size: number, group: string, lead: boolean}} Dot */

/** The picture of which nodes reach which; a large mesh by site and role. */
export async function topology() {
  const answer = await json("/topology");
  const few = answer.nodes.length <= MOST_NODES;
  /** @type {Map<string, Dot>} */
  const dots = new Map();
  /** @type {Map<string, string>} */
  const place = new Map();
  for (const vertex of answer.nodes) {
    const node = nodes.get(vertex.id);
    const group = (node && site(node)) || "no site";
    const id = few ? vertex.id : `${group} · ${vertex.role}`;
    place.set(vertex.id, id);
    const colour = node ? look(node) : vertex.status;
    const known = dots.get(id);
    if (known) {
      known.size += 1;
      if (colour !== "active" && known.class === "active") known.class = colour;
    } else {
      const href = few ? nodePage(id) : `/?${new URLSearchParams(node && site(node) ? { site: group, role: vertex.role } : { role: vertex.role })}`;
      dots.set(id, { id, label: id, class: colour, href, size: 1, group, lead: vertex.role === "lead" });
    }
  }
  /** @type {Map<string, {from: string, to: string, types: Set<string>}>} */
  const lines = new Map();
  for (const edge of answer.connections) {
    const [from, to] = [place.get(edge.source), place.get(edge.target)];
    if (!from || !to || from === to) continue;
    const key = from < to ? `${from}\n${to}` : `${to}\n${from}`;
    const line = lines.get(key) ?? { from, to, types: new Set() };
    line.types.add(edge.type);
    lines.set(key, line);
  }
  const sorted = [...dots.values()].sort((a, b) => a.group.localeCompare(b.group) || a.id.localeCompare(b.id));
  const inner = sorted.filter((dot) => dot.lead);
  const outer = sorted.filter((dot) => !dot.lead);
  const dense = outer.length > MOST_UPRIGHT;
  const [width, height] = [900, dense ? 760 : 420];
  /** @type {Map<string, {x: number, y: number, angle: number}>} */
  const at = new Map();
  const ring = (/** @type {Dot[]} */ ringDots, /** @type {number} */ rx, /** @type {number} */ ry) =>
    ringDots.forEach((dot, index) => {
      const angle = (index / ringDots.length) * 2 * Math.PI - Math.PI / 2;
      at.set(dot.id, { x: width / 2 + rx * Math.cos(angle), y: height / 2 + ry * Math.sin(angle), angle });
    });
  ring(inner, inner.length > 1 ? 90 : 0, inner.length > 1 ? 50 : 0);
  // What is left beside the longest label, by the width of a letter.
  const [longest, letter] = dense ? [LONGEST_LABEL, 10] : [LONGEST_UPRIGHT, 13];
  const room = 30 + letter * Math.min(longest, Math.max(...outer.map((dot) => labelOf(dot).length)));
  if (dense) ring(outer, height / 2 - room, height / 2 - room);
  else ring(outer, Math.min(width / 2 - 130, width / 2 - room), height / 2 - 46);
  const edges = [...lines.values()].map((line) => {
    const [a, b] = [at.get(line.from), at.get(line.to)];
    return a && b && svg("line", { x1: a.x, y1: a.y, x2: b.x, y2: b.y, class: line.types.has("gpu_mesh") ? "edge gpu" : "edge" },
      svg("title", {}, `${line.from} – ${line.to}: ${[...line.types].join(", ")}`));
  });
  const marks = sorted.map((dot) => {
    const { x, y, angle } = at.get(dot.id) ?? { x: 0, y: 0, angle: 0 };
    const radius = Math.min(26, (dense && !dot.lead ? 6 : 7) + 2 * Math.sqrt(dot.size - 1) + (dot.lead ? 3 : 0));
    const text = clip(labelOf(dot), longest);
    const label = dense && !dot.lead ? outward(text, x, y, angle, radius) : upright(text, x, y, radius, { width, height, lead: dot.lead });
    return svg("a", { href: dot.href, "aria-label": `${dot.label}, ${dot.class}` },
      svg("circle", { cx: x, cy: y, r: radius, class: `dot ${dot.class}` }), sorted.length <= MOST_LABELS || dot.class !== "active" || dot.lead ? label : null,
      svg("title", {}, `${dot.label}: ${dot.class}`));
  });
  const omitted = answer.connections_omitted ? `, ${counted(answer.connections_omitted, "connection")} not drawn` : "";
  const types = [...new Set(answer.connections.map((/** @type {any} */ edge) => edge.type))].join(", ");
  const links = lines.size ? `${counted(lines.size, "link")}: ${types}` : "No connections";
  return h("figure", { class: dense ? "topology dense" : "topology" },
    svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": "Topology" }, ...edges, ...marks),
    h("figcaption", { class: "muted" }, `${links}${few ? "" : "; nodes by site and role"}${omitted}`));
}

/** @param {Dot} dot */
const labelOf = (dot) => (dot.size > 1 ? `${dot.label} (${dot.size})` : dot.label);

/**
 * @param {string} text
 * @param {number} most
 */
const clip = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

/**
 * Beside the dot; above or below it in the middle of the picture.
 * @param {string} text
 * @param {number} x
 * @param {number} y
 * @param {number} radius
 * @param {{width: number, height: number, lead: boolean}} within
 */
function upright(text, x, y, radius, { width, height, lead }) {
  const right = x > width / 2 + 4;
  const middle = Math.abs(x - width / 2) <= 4 || lead;
  return svg("text", {
    x: middle ? x : x + (right ? radius + 6 : -radius - 6),
    y: middle ? (y < height / 2 ? y - radius - 7 : y + radius + 20) : y + 6,
    "text-anchor": middle ? "middle" : right ? "start" : "end",
  }, text);
}

/**
 * In the direction from the middle of the picture to the dot; never upside down.
 * @param {string} text
 * @param {number} x
 * @param {number} y
 * @param {number} angle in radians
 * @param {number} radius
 */
function outward(text, x, y, angle, radius) {
  const left = Math.cos(angle) < -1e-9;
  const degrees = (angle * 180) / Math.PI + (left ? 180 : 0);
  return svg("text", {
    x: left ? -radius - 6 : radius + 6,
    y: 5,
    "text-anchor": left ? "end" : "start",
    transform: `translate(${x.toFixed(1)} ${y.toFixed(1)}) rotate(${degrees.toFixed(1)})`,
  }, text);
}

/**
 * One node's bar of the last 24 hours.
 * @param {{from: string, to: string, at: string}[]} transitions newest first
 * @param {string} status what it is now; empty for a node that is gone
 * @param {number} began when it registered, in milliseconds
 */
export function strip(transitions, status, began) {
  const end = now();
  const start = end - DAY;
  /** @type {SVGElement[]} */
  const parts = [];
  let to = end;
  let current = status;
  const draw = (/** @type {number} */ from) => {
    const left = Math.max(from, start, began);
    if (current && to > left) {
      const title = `${current}, ${clock(new Date(left).toISOString())} to ${clock(new Date(to).toISOString())}`;
      parts.push(svg("rect", { x: ((left - start) / DAY) * 1000, width: Math.max(1.5, ((to - left) / DAY) * 1000), y: 0, height: 14, class: current }, svg("title", {}, title)));
    }
    to = Math.min(to, left);
  };
  for (const each of transitions) {
    const at = Date.parse(each.at);
    current = current && each.to;
    draw(at);
    current = each.from;
  }
  draw(start);
  return svg("svg", { class: "strip", viewBox: "0 0 1000 14", preserveAspectRatio: "none", role: "img", "aria-label": `${status || "gone"} now, ${counted(transitions.length, "change")} in 24 hours` }, ...parts);
}

/** Those that were not active all day. */
export async function timeline() {
  const answer = await json("/transitions?since=24h&limit=2000");
  /** @type {Map<string, {from: string, to: string, at: string}[]>} */
  const by = new Map();
  for (const each of answer.transitions) by.set(each.node, [...(by.get(each.node) ?? []), each]);
  for (const node of nodes.values()) if (node.status !== "active" && !by.has(node.name)) by.set(node.name, []);
  const worst = [...by].sort((a, b) => b[1].length - a[1].length || a[0].localeCompare(b[0]));
  const lines = worst.slice(0, MOST_LINES).map(([name, transitions]) => {
    const node = nodes.get(name);
    return h("li", {}, h("a", { href: nodePage(name) }, name), strip(transitions, node?.status ?? "", node ? Date.parse(node.registered_at) : 0));
  });
  if (!lines.length) return h("p", { class: "muted" }, "Every node was active for the last 24 hours.");
  const more = worst.length > MOST_LINES ? h("p", { class: "muted" }, `and ${counted(worst.length - MOST_LINES, "more node")}`) : null;
  const scale = h("div", { class: "scale muted", "aria-hidden": "true" }, h("span", {}, "24 h ago"), h("span", {}, "12 h"), h("span", {}, "now"));
  return h("div", {}, h("ul", { class: "strips" }, ...lines), scale, more);
}
