/** What the registry says: loaded once, then kept up to date by its event stream. */

/**
 * @typedef {{index: number, uuid?: string, utilization?: number, memory_used_bytes?: number,
 *   temperature_celsius?: number, power_watts?: number}} Gpu
 * @typedef {{name: string, role: string, status: string, last_seen: string, registered_at: string, lifecycle: string,
 *   transport: string, capabilities: Record<string, any>, metadata: Record<string, any>, vpn_ip?: string,
 *   public_ip?: string, lifecycle_reason?: string, lifecycle_until?: string, held?: boolean, held_since?: string,
 *   reported_status?: string, gpus?: Gpu[], agent?: {name: string, version?: string}}} NodeDoc
 * @typedef {{state: string, severity: string, text: string, alert: string, runbook: string, node?: string,
 *   site?: string}} Trouble
 * @typedef {{state: string, healthy: boolean, text: string, problems: Trouble[], problems_omitted: number,
 *   planned: number}} Verdict
 * @typedef {{version: string, may_write: boolean, refusal: string, telemetry_path: string,
 *   warning_after_seconds: number, offline_after_seconds: number, prometheus_url: string}} Session
 */

const TOKEN = "aurora-token";
const IDLE_SECONDS = 45;
const GONE = new Set(["node_deregistered", "node_forgotten"]);

/** @type {Map<string, NodeDoc>} */
export const nodes = new Map();

export const state = {
  loaded: false,
  /** @type {"connecting" | "live" | "cut"} */
  stream: "connecting",
  reason: "",
  /** Milliseconds that the registry's clock is ahead of ours. */
  ahead: 0,
  /** @type {Verdict | null} */
  verdict: null,
  /** @type {Session | null} */
  session: null,
};

/** @type {Set<(changed: Set<string> | null) => void>} Called with the names that changed; null: anything may have. */
export const listeners = new Set();

/** @param {Set<string> | null} changed */
function notify(changed) {
  for (const listener of listeners) listener(changed);
}

/** The registry's time now, in milliseconds. */
export const now = () => Date.now() + state.ahead;

/** @param {string} token kept for this tab only; empty to drop it */
export function setToken(token) {
  if (token) sessionStorage.setItem(TOKEN, token);
  else sessionStorage.removeItem(TOKEN);
}

/**
 * @param {string} path
 * @param {RequestInit} [init]
 */
export function ask(path, init = {}) {
  const headers = new Headers(init.headers);
  const token = sessionStorage.getItem(TOKEN);
  if (token) headers.set("Authorization", `Bearer ${token}`);
  return fetch(path, { ...init, headers, cache: "no-store", credentials: "same-origin" });
}

/**
 * The answer's JSON; an Error says what the registry said.
 * @param {string} path
 * @param {RequestInit} [init]
 * @returns {Promise<any>}
 */
export async function json(path, init = {}) {
  const response = await ask(path, init);
  if (response.ok) return response.status === 204 ? null : response.json();
  const problem = await response.json().catch(() => ({}));
  throw new Error(problem.detail || `${path} answered ${response.status}`);
}

/** Load every node again. */
export async function load() {
  const answer = await json("/nodes");
  state.ahead = Date.parse(answer.timestamp) - Date.now();
  nodes.clear();
  for (const [name, node] of Object.entries(answer.nodes)) nodes.set(name, node);
  state.loaded = true;
  notify(null);
}

let judging = 0;

/** Ask for the verdict soon; what happens together is asked for once. */
export function judge() {
  if (judging) return;
  judging = window.setTimeout(async () => {
    judging = 0;
    try {
      state.verdict = await json("/mesh");
      notify(new Set());
    } catch {
      // The stream's own end says that the registry is away.
    }
  }, 150);
}

/**
 * @param {string} type
 * @param {any} data
 * @param {Set<string>} changed
 */
function apply(type, data, changed) {
  if (GONE.has(type)) nodes.delete(data.node);
  else if (typeof data.name === "string") {
    const { node, at, from, to, ...document } = data;
    nodes.set(document.name, document);
  } else return;
  changed.add(data.node);
}

/** Follow the stream forever; after each gap everything is loaded again unless the stream resumes. */
export async function follow() {
  let lastId = "";
  let pause = 500;
  for (;;) {
    try {
      const headers = lastId ? { "Last-Event-ID": lastId } : undefined;
      const abort = new AbortController();
      const response = await ask("/events", { headers, signal: abort.signal });
      if (!response.ok || !response.body) throw new Error(`the registry answered ${response.status}`);
      if (!lastId) await load();
      judge();
      setStream("live", "");
      pause = 500;
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        const idle = window.setTimeout(() => abort.abort(), IDLE_SECONDS * 1000);
        const { done, value } = await reader.read().finally(() => clearTimeout(idle));
        if (done) break;
        text += value;
        const end = text.lastIndexOf("\n\n");
        if (end < 0) continue;
        const changed = new Set();
        for (const block of text.slice(0, end).split("\n\n")) {
          const fields = Object.fromEntries(
            block.split("\n").map((line) => [line.slice(0, line.indexOf(": ")), line.slice(line.indexOf(": ") + 2)]),
          );
          if (fields.id) lastId = fields.id;
          if (fields.event === "stream_reset") await load();
          else if (fields.event && fields.data) apply(fields.event, JSON.parse(fields.data), changed);
        }
        text = text.slice(end + 2);
        if (changed.size) {
          notify(changed);
          judge();
        }
      }
      setStream("cut", "the registry ended the stream");
    } catch (error) {
      setStream("cut", error instanceof Error ? error.message : String(error));
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
    pause = Math.min(pause * 1.6, 10000);
  }
}

/**
 * @param {"live" | "cut"} stream
 * @param {string} reason
 */
function setStream(stream, reason) {
  state.stream = stream;
  state.reason = reason;
  notify(new Set());
}

/** Heartbeats are no events: ages and readings are refreshed while somebody looks. */
export async function refresh() {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, Math.max(10, nodes.size / 200) * 1000));
    if (document.visibilityState !== "visible" || state.stream !== "live") continue;
    await load().catch(() => {});
    judge();
  }
}

export async function loadSession() {
  state.session = await json("/ui/session").catch(() => null);
}

/** @param {NodeDoc} node */
export const site = (node) => (typeof node.metadata.site === "string" ? node.metadata.site : "");

/** @param {NodeDoc} node */
export const planned = (node) => node.lifecycle !== "in_service";

/**
 * The word that a tile's colour stands for.
 * @param {NodeDoc} node
 */
export const look = (node) => (planned(node) ? "planned" : node.held ? "held" : node.status);

/** @param {NodeDoc} node */
export function gpuCount(node) {
  const count = node.capabilities.gpu_count;
  return typeof count === "number" ? count : node.capabilities.gpu === true ? 1 : 0;
}

/** @param {NodeDoc} node */
export function gpuText(node) {
  const count = gpuCount(node);
  if (!count) return "–";
  const type = typeof node.capabilities.gpu_type === "string" ? node.capabilities.gpu_type : "GPU";
  return `${count} × ${type}`;
}

/**
 * Utilisation and memory of all its GPUs, null where it says nothing.
 * @param {NodeDoc} node
 */
export function readings(node) {
  const gpus = node.gpus ?? [];
  const loads = gpus.flatMap((gpu) => (typeof gpu.utilization === "number" ? [gpu.utilization] : []));
  const used = gpus.flatMap((gpu) => (typeof gpu.memory_used_bytes === "number" ? [gpu.memory_used_bytes] : []));
  const sum = used.reduce((a, b) => a + b, 0);
  const total = (Number(node.capabilities.gpu_memory) || 0) * 2 ** 30;
  return {
    load: loads.length ? loads.reduce((a, b) => a + b, 0) / loads.length : null,
    used: used.length && total ? sum / total : null,
    usedBytes: sum,
    totalBytes: total,
  };
}
