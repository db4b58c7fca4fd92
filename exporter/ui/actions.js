/** What people change on the page: maintenance, drain, deregister. The registry decides whether they may. */

import { json, loadSession, setToken, state } from "./data.js";
import { h } from "./dom.js";
import { nodePath, words } from "./format.js";

/** @typedef {import("./data.js").NodeDoc} NodeDoc */

/**
 * @param {string} title
 * @param {string} explanation
 * @param {string} action what the button says
 * @param {HTMLElement[]} fields
 * @param {() => Promise<void>} run
 */
function dialog(title, explanation, action, fields, run) {
  const fault = h("p", { class: "fault", role: "alert" });
  const confirm = h("button", { type: "submit", class: "primary" }, action);
  const form = h("form", {
    method: "dialog",
    onsubmit: async (/** @type {Event} */ event) => {
      event.preventDefault();
      confirm.disabled = true;
      try {
        await run();
        box.close();
      } catch (error) {
        fault.textContent = error instanceof Error ? error.message : String(error);
      }
      confirm.disabled = false;
    },
  }, h("h2", {}, title), h("p", {}, explanation), ...fields, fault,
  h("p", { class: "buttons" }, h("button", { type: "button", onclick: () => box.close() }, "Cancel"), confirm));
  const box = h("dialog", { "aria-label": title, onclose: () => box.remove() }, form);
  document.body.append(box);
  box.showModal();
}

/**
 * @param {string} label
 * @param {Record<string, any>} attributes
 */
function field(label, attributes) {
  const input = h("input", attributes);
  return { input, element: h("label", {}, h("span", {}, label), input) };
}

/**
 * @param {NodeDoc} node
 * @param {"maintenance" | "drain"} kind
 */
function takeOut(node, kind) {
  const reason = field("Reason", { name: "reason", maxlength: 256, placeholder: "new fans" });
  const until = field("For", { name: "until", value: "2h", required: true, pattern: "[0-9a-zA-Z:.+\\-]+" });
  dialog(kind === "drain" ? `Drain ${node.name}` : `Maintenance of ${node.name}`,
    "Its alerts are suppressed until then; its status goes on being shown.", "Start", [reason.element, until.element], async () => {
      const body = JSON.stringify({ reason: reason.input.value, until: until.input.value });
      await json(`${nodePath(node.name)}/${kind}`, { method: "PUT", body, headers: { "Content-Type": "application/json" } });
    });
}

/** @param {NodeDoc} node */
function deregister(node) {
  dialog(`Deregister ${node.name}`, "The node leaves the mesh as planned: no alert, and its series end. It returns when it registers again.",
    "Deregister", [], async () => {
      await json(nodePath(node.name), { method: "DELETE" });
    });
}

function signIn() {
  const token = field("Operator token", { type: "password", autocomplete: "off", required: true });
  dialog("Sign in", "The token stays in this tab and is forgotten with it.", "Use it", [token.element], async () => {
    setToken(token.input.value);
    await loadSession();
    dispatchEvent(new Event("session"));
  });
}

/** @param {NodeDoc} node */
export function actions(node) {
  const allowed = state.session?.may_write;
  const button = (/** @type {string} */ text, /** @type {() => void} */ run) => h("button", { type: "button", onclick: run, disabled: !allowed }, text);
  const end = async () => {
    const kind = node.lifecycle === "draining" ? "drain" : "maintenance";
    await json(`${nodePath(node.name)}/${kind}`, { method: "DELETE" }).catch((error) => alert(error.message));
  };
  const out = node.lifecycle !== "in_service";
  return h("div", { class: "actions" },
    out ? button(`End ${words(node.lifecycle)}`, end) : null,
    node.lifecycle === "maintenance" ? null : button("Maintenance…", () => takeOut(node, "maintenance")),
    node.lifecycle === "draining" ? null : button("Drain…", () => takeOut(node, "drain")),
    button("Deregister…", () => deregister(node)),
    allowed ? null : h("span", { class: "muted" }, `Read only: ${state.session?.refusal ?? ""}`),
    allowed ? null : h("button", { type: "button", onclick: signIn }, "Use an operator token…"));
}
