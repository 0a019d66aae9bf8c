// Small helpers around the DOM. Text goes in as text, never as markup.

/**
 * The element of that id, known to be of that type.
 * @template {Element} T
 * @param {string} id
 * @param {abstract new () => T} type
 * @returns {T}
 */
export function byId(id, type) {
  return checked(document.getElementById(id), id, type);
}

/**
 * @template {Element} T
 * @param {ParentNode} root
 * @param {string} selector
 * @param {abstract new () => T} type
 * @returns {T}
 */
export function part(root, selector, type) {
  return checked(root.querySelector(selector), selector, type);
}

/**
 * @template {Element} T
 * @param {Element | null} element
 * @param {string} what
 * @param {abstract new () => T} type
 * @returns {T}
 */
function checked(element, what, type) {
  if (!(element instanceof type)) throw new Error(`the page has no ${type.name} at ${what}`);
  return element;
}

/**
 * A fresh copy of a template's one element.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function stamp(id) {
  const content = byId(id, HTMLTemplateElement).content.cloneNode(true);
  return part(/** @type {DocumentFragment} */ (content), '*', HTMLElement);
}

/**
 * Writes only what changes: a live region would repeat the same text.
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * @param {HTMLElement} element
 * @param {boolean} hidden
 */
export function setHidden(element, hidden) {
  if (element.hidden !== hidden) element.hidden = hidden;
}

/**
 * @param {Element} element
 * @param {string} name
 * @param {string | null} value
 */
export function setAttribute(element, name, value) {
  if (element.getAttribute(name) === value) return;
  if (value === null) element.removeAttribute(name);
  else element.setAttribute(name, value);
}

/**
 * @param {HTMLElement | SVGElement} element
 * @param {string} name
 * @param {string} value
 */
export function setVariable(element, name, value) {
  if (element.style.getPropertyValue(name) !== value) element.style.setProperty(name, value);
}
