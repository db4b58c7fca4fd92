/** Search and filters: they live in the address, so that a view can be sent to somebody. */

import { look, nodes, site } from "./data.js";

const KEYS = ["q", "status", "role", "site", "view", "sort"];

/** @returns {Record<string, string>} */
export function filters() {
  const query = new URLSearchParams(location.search);
  return Object.fromEntries(KEYS.map((key) => [key, query.get(key) ?? ""]));
}

/**
 * @param {string} key
 * @param {string} value
 */
export function setFilter(key, value) {
  const url = new URL(location.href);
  if (value) url.searchParams.set(key, value);
  else url.searchParams.delete(key);
  history.replaceState(null, "", url);
}

/** @typedef {import("./data.js").NodeDoc} NodeDoc */

const RANK = /** @type {Record<string, number>} */ ({ offline: 0, warning: 1, active: 2 });

/** @type {Record<string, (a: NodeDoc, b: NodeDoc) => number>} */
const ORDERS = {
  name: byName,
  age: (a, b) => compare(a.last_seen, b.last_seen) || byName(a, b),
  worst: (a, b) => (RANK[a.status] ?? 3) - (RANK[b.status] ?? 3) || byName(a, b),
};

/**
 * @param {string} a
 * @param {string} b
 */
function compare(a, b) {
  return a < b ? -1 : a > b ? 1 : 0;
}

/**
 * @param {NodeDoc} a
 * @param {NodeDoc} b
 */
function byName(a, b) {
  return compare(a.name, b.name);
}

/** What the address asks for: which nodes pass, and in which order they stand. */
export function wanted() {
  const { q, status, role, site: place, sort } = filters();
  const words = q.toLowerCase().split(/\s+/).filter(Boolean);
  /** @param {NodeDoc} node */
  const passes = (node) => {
    if (status && look(node) !== status && node.status !== status) return false;
    if (role && node.role !== role) return false;
    if (place && site(node) !== place) return false;
    if (!words.length) return true;
    const text = `${node.name} ${node.role} ${site(node)} ${node.vpn_ip ?? ""} ${node.capabilities.gpu_type ?? ""}`.toLowerCase();
    return words.every((word) => text.includes(word));
  };
  return { passes, order: ORDERS[sort] ?? ORDERS.worst };
}

/** The nodes that pass, in the order asked for. */
export function chosen() {
  const { passes, order } = wanted();
  return [...nodes.values()].filter(passes).sort(order);
}

/**
 * Bring a sorted list up to date with a few changes, without sorting it again.
 * @param {NodeDoc[]} rows
 * @param {Set<string>} changed
 */
export function amend(rows, changed) {
  const { passes, order } = wanted();
  const kept = rows.filter((node) => !changed.has(node.name));
  for (const name of changed) {
    const node = nodes.get(name);
    if (!node || !passes(node)) continue;
    let [low, high] = [0, kept.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (order(kept[middle], node) < 0) low = middle + 1;
      else high = middle;
    }
    kept.splice(low, 0, node);
  }
  return kept;
}
