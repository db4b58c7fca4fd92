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

/** The nodes that pass, in the order asked for. */
export function chosen() {
  const { q, status, role, site: place, sort } = filters();
  const words = q.toLowerCase().split(/\s+/).filter(Boolean);
  const found = [...nodes.values()].filter((node) => {
    if (status && look(node) !== status && node.status !== status) return false;
    if (role && node.role !== role) return false;
    if (place && site(node) !== place) return false;
    if (!words.length) return true;
    const text = `${node.name} ${node.role} ${site(node)} ${node.vpn_ip ?? ""} ${node.capabilities.gpu_type ?? ""}`;
    return words.every((word) => text.toLowerCase().includes(word));
  });
  const rank = /** @type {Record<string, number>} */ ({ offline: 0, warning: 1, active: 2 });
  if (sort === "name") found.sort((a, b) => a.name.localeCompare(b.name));
  else if (sort === "age") found.sort((a, b) => a.last_seen.localeCompare(b.last_seen));
  else found.sort((a, b) => (rank[a.status] ?? 3) - (rank[b.status] ?? 3) || (a.name < b.name ? -1 : 1));
  return found;
}
