/** Numbers, ages and links as people read them. */

const RUNBOOKS = "https://github.com/aurora-mesh/aurora-node-registry/blob/main/alerts/runbooks/";

/** @param {number} seconds */
export function age(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 100) return `${s} s`;
  if (s < 6000) return `${Math.floor(s / 60)} min ${s < 600 ? `${s % 60} s` : ""}`.trim();
  if (s < 172800) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  const hours = Math.floor((s % 86400) / 3600);
  return `${Math.floor(s / 86400)} days${hours ? ` ${hours} h` : ""}`;
}

/** @param {number} bytes */
export function gigabytes(bytes) {
  const gb = bytes / 2 ** 30;
  return gb < 10 && gb % 1 ? gb.toFixed(1) : String(Math.round(gb));
}

/** @param {number} part */
export const percent = (part) => `${Math.round(part * 100)} %`;

/** @param {string} name */
export const nodePage = (name) => `/ui/nodes/${encodeURIComponent(name)}`;

/** @param {string} name */
export const nodePath = (name) => `/nodes/${encodeURIComponent(name)}`;

/** @param {string} alert */
export const runbook = (alert) => `${RUNBOOKS}${encodeURIComponent(alert)}.md`;

/** @param {string} lifecycle */
export const words = (lifecycle) => lifecycle.replaceAll("_", " ");

/** @param {string} time */
export function clock(time) {
  const date = new Date(time);
  const day = date.toDateString() === new Date().toDateString() ? "" : `${date.toLocaleDateString()} `;
  return day + date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
}

/**
 * A sentence of the registry's, with its times as `clock` writes them.
 * @param {string} text
 */
export const inLocalTime = (text) => text.replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g, clock);

/**
 * @param {number} count
 * @param {string} noun
 */
export const counted = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

/** @param {string} transport */
export const over = (transport) => (transport === "http" ? "over HTTP" : `over the ${transport}`);
