// Shows the current language in the texts that no view renders again: those of index.html, which are marked by their keys,
// and the messages of `setMessage`.

import { text } from '../language/texts.js';
import { setAttribute, setText, translateMessages } from './dom.js';

/** The attribute that each mark translates. `data-text` translates the element's text. */
const ATTRIBUTE_BY_MARK = { 'data-label': 'aria-label', 'data-placeholder': 'placeholder', 'data-alt': 'alt' };

/** @param {string} htmlLanguage value of `<html lang>` */
export function translatePage(htmlLanguage) {
  document.documentElement.lang = htmlLanguage;
  translateTexts(document);
  for (const template of document.querySelectorAll('template')) translateTexts(template.content);
  translateMessages();
}

/** @param {ParentNode} root */
function translateTexts(root) {
  for (const element of root.querySelectorAll('[data-text]')) setText(element, textOf(element, 'data-text'));
  for (const [mark, attribute] of Object.entries(ATTRIBUTE_BY_MARK)) {
    for (const element of root.querySelectorAll(`[${mark}]`)) setAttribute(element, attribute, textOf(element, mark));
  }
}

/** @param {Element} element @param {string} mark */
function textOf(element, mark) {
  return text(/** @type {import('../language/texts.js').TextKey} */ (element.getAttribute(mark)));
}
