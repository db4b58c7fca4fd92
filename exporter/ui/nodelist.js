/**
 * Nodes as tiles and as a table. Of the table only the rows in sight exist, and a change touches only what it changed,
 * so that thousands cost what dozens do.
 */

import { gpuText, look, now, readings, site } from "./data.js";
import { bar, h, setText } from "./dom.js";
import { age, gigabytes, nodePage, percent, words } from "./format.js";

/** @typedef {import("./data.js").NodeDoc} NodeDoc */

const ROW = 40;
const SPARE = 6;
const NAMED_TILES = 300;
/** Tiles that are made for one frame: those of a large mesh appear within a few frames, and none of them is long. */
const NEW_TILES = 300;

/** @param {NodeDoc} node */
export const ageOf = (node) => age((now() - Date.parse(node.last_seen)) / 1000);

/** @param {NodeDoc} node */
export function statusBadge(node) {
  const text = node.held ? `${node.status}, frozen` : node.status;
  const badge = h("span", { class: `badge ${node.held ? "held" : node.status}` }, text);
  if (node.lifecycle === "in_service") return badge;
  return h("span", {}, badge, " ", h("span", { class: "badge planned" }, words(node.lifecycle)));
}

/** @param {NodeDoc} node */
function describe(node) {
  const life = node.lifecycle === "in_service" ? "" : `, ${words(node.lifecycle)}`;
  return `${node.name}: ${node.held ? "frozen at " : ""}${node.status}${life}, ${node.role}`;
}

/** @param {NodeDoc} node */
const groupOf = (node) => `${site(node) || "no site"}\n${node.role}`;

/**
 * Make these an element's last children, in this order; what stands where it should is not touched.
 * @param {Element} parent
 * @param {Element[]} children
 */
function inOrder(parent, children) {
  let place = parent.firstElementChild;
  for (const child of children) {
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
  }
}

/** The table. */
export class Table {
  constructor() {
    /** @type {NodeDoc[]} */
    this.rows = [];
    this.count = -1;
    /** @type {Map<string, {row: HTMLElement, node: NodeDoc, age: Element, index: number}>} */
    this.shown = new Map();
    this.body = h("div", { class: "rows", role: "rowgroup" });
    const heads = ["Node", "Status", "Last heartbeat", "Role", "Site", "GPUs", "Load", "VRAM used"];
    this.element = h(
      "div",
      { class: "table", role: "table", "aria-label": "Nodes" },
      h("div", { class: "row head", role: "row", "aria-rowindex": 1 }, ...heads.map((t) => h("span", { role: "columnheader" }, t))),
      this.body,
    );
    this.frame = 0;
    const draw = () => {
      this.frame ||= requestAnimationFrame(() => {
        this.frame = 0;
        this.draw();
      });
    };
    addEventListener("scroll", draw, { passive: true });
    addEventListener("resize", draw, { passive: true });
  }

  /** @param {NodeDoc[]} rows */
  show(rows) {
    this.rows = rows;
    if (rows.length !== this.count) {
      this.count = rows.length;
      this.element.setAttribute("aria-rowcount", String(rows.length + 1));
      this.body.style.height = `${rows.length * ROW}px`;
    }
    this.draw();
  }

  draw() {
    if (!this.element.isConnected) return;
    const top = this.body.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(-top / ROW) - SPARE);
    const last = Math.min(this.rows.length, Math.ceil((innerHeight - top) / ROW) + SPARE);
    const wanted = new Set();
    for (let index = first; index < last; index++) {
      const node = this.rows[index];
      wanted.add(node.name);
      let entry = this.shown.get(node.name);
      if (!entry || entry.node !== node) {
        const made = this.row(node);
        if (entry) entry.row.replaceWith(made.row);
        else this.body.append(made.row);
        entry = made;
        this.shown.set(node.name, entry);
      }
      if (entry.index === index) continue;
      entry.index = index;
      entry.row.style.transform = `translateY(${index * ROW}px)`;
      entry.row.setAttribute("aria-rowindex", String(index + 2));
    }
    for (const [name, entry] of this.shown) {
      if (wanted.has(name)) continue;
      if (entry.row.contains(document.activeElement)) continue;
      entry.row.remove();
      this.shown.delete(name);
    }
  }

  /** @param {NodeDoc} node */
  row(node) {
    const { load, used, usedBytes, totalBytes } = readings(node);
    const ageCell = h("span", { role: "cell", class: "number" }, ageOf(node));
    const row = h(
      "div",
      { class: "row", role: "row" },
      h("span", { role: "cell" }, h("a", { href: nodePage(node.name) }, node.name)),
      h("span", { role: "cell" }, statusBadge(node)),
      ageCell,
      h("span", { role: "cell" }, node.role),
      h("span", { role: "cell" }, site(node) || "–"),
      h("span", { role: "cell" }, gpuText(node)),
      h("span", { role: "cell" }, bar("GPU load", load, load === null ? "" : percent(load))),
      h("span", { role: "cell" }, bar("VRAM", used, `${gigabytes(usedBytes)} / ${gigabytes(totalBytes)} GB`)),
    );
    return { row, node, age: ageCell, index: -1 };
  }

  tick() {
    for (const entry of this.shown.values()) setText(entry.age, ageOf(entry.node));
  }
}

/** The tiles, by site and role; the arrow keys go from tile to tile, so that a group is one stop of the Tab key. */
export class Tiles {
  constructor() {
    this.element = h("div", { class: "tiles" });
    /** @type {Map<string, HTMLAnchorElement>} */
    this.tiles = new Map();
    /** @type {Map<string, {section: HTMLElement, count: HTMLElement, list: HTMLElement}>} */
    this.groups = new Map();
    this.named = true;
    this.frame = 0;
    this.element.addEventListener("keydown", (event) => this.move(event));
  }

  /**
   * @param {NodeDoc[]} rows
   * @param {Set<string> | null} changed where nothing else changed
   */
  show(rows, changed = null) {
    if (changed && this.repaint(rows, changed)) return;
    const named = rows.length <= NAMED_TILES;
    if (named !== this.named) {
      this.named = named;
      this.tiles.clear();
      this.groups.clear();
      this.element.replaceChildren();
    }
    /** @type {Map<string, NodeDoc[]>} */
    const groups = new Map();
    for (const node of [...rows].sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const key = groupOf(node);
      const group = groups.get(key);
      if (group) group.push(node);
      else groups.set(key, [node]);
    }
    const names = new Set(rows.map((node) => node.name));
    for (const [name, tile] of this.tiles) {
      if (names.has(name)) continue;
      tile.remove();
      this.tiles.delete(name);
    }
    for (const [key, { section }] of this.groups) {
      if (groups.has(key)) continue;
      section.remove();
      this.groups.delete(key);
    }
    this.build([...groups].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /**
   * Make the groups, as many tiles as a frame has room for, and the rest in the next frames.
   * @param {[string, NodeDoc[]][]} groups
   */
  build(groups) {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    let room = NEW_TILES;
    const sections = groups.map(([key, members]) => {
      const ready = members.filter((node) => this.tiles.has(node.name) || (room > 0 && room--));
      if (ready.length < members.length) this.frame ||= requestAnimationFrame(() => this.build(groups));
      return this.group(key, ready, members.length);
    });
    inOrder(this.element, sections);
    for (const { list } of this.groups.values()) {
      const stops = list.querySelectorAll("[tabindex='0']");
      if (!stops.length) list.firstElementChild?.setAttribute("tabindex", "0");
      for (const tile of [...stops].slice(1)) tile.setAttribute("tabindex", "-1");
    }
  }

  /**
   * Whether a new colour was all.
   * @param {NodeDoc[]} rows
   * @param {Set<string>} changed
   */
  repaint(rows, changed) {
    if (this.frame || rows.length !== this.tiles.size) return false;
    const painted = rows.filter((node) => changed.has(node.name));
    const inPlace = painted.every((node) => {
      const tile = this.tiles.get(node.name);
      return tile && tile.parentElement === this.groups.get(groupOf(node))?.list;
    });
    if (inPlace) for (const node of painted) this.paint(node);
    return inPlace;
  }

  /**
   * @param {string} key
   * @param {NodeDoc[]} members
   * @param {number} total
   */
  group(key, members, total) {
    const [place, role] = key.split("\n");
    let group = this.groups.get(key);
    if (!group) {
      const list = h("div", { class: this.named ? "grid" : "grid dots", role: "group", "aria-label": `${place}, ${role}` });
      const count = h("small");
      group = { list, count, section: h("section", { class: "group" }, h("h3", {}, `${place} `, count), list) };
      this.groups.set(key, group);
    }
    const { list, count, section } = group;
    setText(count, `${role} · ${total}`);
    inOrder(list, members.map((node) => this.paint(node)));
    return section;
  }

  /** @param {NodeDoc} node */
  paint(node) {
    let tile = this.tiles.get(node.name);
    if (!tile) {
      tile = h("a", { class: "tile", href: nodePage(node.name), tabindex: -1 }, this.named && h("span", {}, node.name));
      this.tiles.set(node.name, tile);
    }
    const text = describe(node);
    if (tile.title !== text) {
      tile.title = text;
      tile.setAttribute("aria-label", text);
      tile.className = `tile ${look(node)}`;
    }
    return tile;
  }

  /** @param {KeyboardEvent} event */
  move(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
    const tile = document.activeElement;
    if (step === undefined || !tile?.parentElement?.classList.contains("grid")) return;
    const siblings = /** @type {HTMLElement[]} */ ([...tile.parentElement.children]);
    const index = siblings.indexOf(/** @type {HTMLElement} */ (tile)) + step;
    const next = siblings[Math.max(0, Math.min(siblings.length - 1, index))];
    tile.setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
    event.preventDefault();
  }
}
