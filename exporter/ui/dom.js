/** Building the page: elements with text, never markup, so that no name can be more than a name. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * @typedef {Node | string | number | null | undefined | false} Child
 * @typedef {Record<string, any>} Attributes
 */

/**
 * @param {Element} element
 * @param {Attributes} attributes `on...` are listeners; null and false are left out
 * @param {Child[]} children
 */
function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Attributes} [attributes]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  fill(element, attributes, children);
  return element;
}

/**
 * @param {string} tag
 * @param {Attributes} [attributes]
 * @param {...Child} children
 * @returns {SVGElement}
 */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  fill(element, attributes, children);
  return element;
}

/**
 * Write only what changed: an unchanged text costs no layout.
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * @param {string} label what it is, for those who do not see it
 * @param {number | null} part 0 to 1
 * @param {string} text
 */
export function bar(label, part, text) {
  if (part === null) return h("span", { class: "muted" }, "–");
  const fillPart = h("i");
  const percent = Math.max(0, Math.min(1, part)) * 100;
  fillPart.style.width = `${percent}%`;
  return h(
    "span",
    { class: percent > 92 ? "bar high" : "bar", role: "img", "aria-label": `${label} ${text}`, title: `${label} ${text}` },
    h("b", {}, fillPart),
    h("span", {}, text),
  );
}
