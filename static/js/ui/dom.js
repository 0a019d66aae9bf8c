// DOM helpers: typed look-ups, template cloning, and setters that write only on a change. All text is set as
// `textContent`, never as markup.

import { messageText } from '../language/texts.js';

/**
 * @template {Element} T
 * @param {string} id
 * @param {abstract new () => T} type
 * @returns {T}
 * @throws {Error} if the page has no element of that id and type
 */
export function elementById(id, type) {
  return assertType(document.getElementById(id), id, type);
}

/**
 * The first descendant of `root` that matches `selector`.
 * @template {Element} T
 * @param {ParentNode} root
 * @param {string} selector
 * @param {abstract new () => T} type
 * @returns {T}
 * @throws {Error} if there is no match, or the match is not a `type`
 */
export function queryElement(root, selector, type) {
  return assertType(root.querySelector(selector), selector, type);
}

/**
 * Which way lines run at the element: 1 for left to right, −1 for right to left.
 * @param {Element} element
 * @returns {1 | -1}
 */
export function lineDirection(element) {
  return getComputedStyle(element).direction === 'rtl' ? -1 : 1;
}

/**
 * @template {Element} T
 * @param {Element | null} element
 * @param {string} description
 * @param {abstract new () => T} type
 * @returns {T}
 */
function assertType(element, description, type) {
  if (!(element instanceof type)) throw new Error(`the page has no ${type.name} at ${description}`);
  return element;
}

/** A new copy of the single root element of a `<template>`. @param {string} id @returns {HTMLElement} */
export function cloneTemplate(id) {
  const content = elementById(id, HTMLTemplateElement).content.cloneNode(true);
  return queryElement(/** @type {DocumentFragment} */ (content), '*', HTMLElement);
}

/**
 * Writes only on a change: after a write of the same text, a screen reader would announce a live region again.
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** The messages of elements that no view renders again. @type {WeakMap<Element, import('../language/texts.js').Message>} */
const messages = new WeakMap();

/** The attribute of elements that have a message. */
const MESSAGE_ATTRIBUTE = 'data-message';

/**
 * Shows a message that follows a change of the language. For texts that no view renders again.
 * @param {Element} element
 * @param {import('../language/texts.js').Message | null} message `null` for no text
 */
export function setMessage(element, message) {
  if (message === null) messages.delete(element);
  else messages.set(element, message);
  setAttribute(element, MESSAGE_ATTRIBUTE, message === null ? null : '');
  setText(element, message === null ? '' : messageText(message));
}

/** Shows all messages in the current language. */
export function translateMessages() {
  for (const element of document.querySelectorAll(`[${MESSAGE_ATTRIBUTE}]`)) setText(element, messageText(messages.get(element) ?? ''));
}

/** @param {HTMLElement} element @param {boolean} isHidden */
export function setHidden(element, isHidden) {
  if (element.hidden !== isHidden) element.hidden = isHidden;
}

/**
 * Hides an element, and moves the focus, which would be lost with it.
 * @param {HTMLElement} element
 * @param {boolean} isHidden
 * @param {HTMLElement} next gets the focus
 */
export function hideKeepingFocus(element, isHidden, next) {
  if (isHidden && !element.hidden && element.contains(document.activeElement)) next.focus({ preventScroll: true });
  setHidden(element, isHidden);
}

/**
 * @param {Element} element
 * @param {string} name
 * @param {string | null} value `null` removes the attribute
 */
export function setAttribute(element, name, value) {
  if (element.getAttribute(name) === value) return;
  if (value === null) element.removeAttribute(name);
  else element.setAttribute(name, value);
}

/**
 * @param {HTMLElement | SVGElement} element
 * @param {string} name of a CSS custom property, with its `--`
 * @param {string} value
 */
export function setCssVariable(element, name, value) {
  if (element.style.getPropertyValue(name) !== value) element.style.setProperty(name, value);
}
