// The label of a button whose accessible name has the title of a track, although the visible text is shorter: “Play now” for “Play
// TITLE now”.

import { text } from '../../language/texts.js';

/** @typedef {import('../../language/texts.js').TextKey} TextKey */

/** Stands for the title in a text. */
const TITLE_MARK = '\u0001';

/**
 * @param {HTMLElement} element
 * @param {TextKey} nameKey of the accessible name, with the placeholder `{title}`
 * @param {TextKey} visibleKey
 * @param {string} title
 */
export function setTitledLabel(element, nameKey, visibleKey, title) {
  const visible = text(visibleKey);
  const key = `${nameKey} ${visible} ${title}`;
  // `translatePage` replaces the parts by the visible text.
  if (element.dataset['titledLabel'] === key && element.childElementCount > 0) return;
  element.dataset['titledLabel'] = key;
  const [before = '', after = ''] = text(nameKey, { title: TITLE_MARK }).split(TITLE_MARK);
  const isVisibleAround = `${before}${after}`.replace(/\s+/g, ' ').trim() === visible;
  // In some languages, the words around the title are no text of their own.
  const parts = isVisibleAround ? [before, hidden(title), after] : [hidden(text(nameKey, { title })), visibleOnly(visible)];
  element.replaceChildren(...parts);
}

/** @param {string} content for screen readers only */
function hidden(content) {
  const span = document.createElement('span');
  span.className = 'visually-hidden';
  span.textContent = content;
  return span;
}

/** @param {string} content not for screen readers */
function visibleOnly(content) {
  const span = document.createElement('span');
  span.setAttribute('aria-hidden', 'true');
  span.textContent = content;
  return span;
}
