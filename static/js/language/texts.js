// The page's texts in the current language.

import { en } from './en.js';

/** @typedef {keyof typeof en} TextKey */
/** @typedef {string | Partial<Record<Intl.LDMLPluralRule, string>>} TextEntry */
/** @typedef {Partial<Record<TextKey, TextEntry>>} TextTable */
/** @typedef {Readonly<Record<string, string | number>>} TextValues */

/**
 * A text that is kept and shown later, possibly in another language: the key and the values of a text, or a sentence of the
 * server that the table does not have.
 * @typedef {{key: TextKey, values?: TextValues} | string} Message
 */

/** @type {{locale: string, table: TextTable}} */
let current = { locale: 'en', table: en };

/**
 * @param {string} locale a BCP 47 tag
 * @param {TextTable} table
 */
export function setTexts(locale, table) {
  current = { locale, table };
}

/** The BCP 47 tag of the current language. */
export function currentLocale() {
  return current.locale;
}

/**
 * A text of the page in the current language, or in English if the language has no such text.
 * @param {TextKey} key
 * @param {TextValues} [values] the values of the placeholders; `count` also selects the
 *   plural form. Numbers are formatted as the language writes them.
 * @returns {string}
 */
export function text(key, values = {}) {
  const { locale, table } = key in current.table ? current : { locale: 'en', table: en };
  const template = pluralForm(/** @type {TextEntry} */ (table[key]), locale, values['count']);
  return template.replace(/\{(\w+)\}/g, (placeholder, name) => formatValue(values[name], locale) ?? placeholder);
}

/** @param {Message} message @returns {string} the message in the current language */
export function messageText(message) {
  return typeof message === 'string' ? message : text(message.key, message.values);
}

/** @param {string} key @returns {key is TextKey} */
export function isTextKey(key) {
  return Object.hasOwn(en, key);
}

/** @param {TextEntry} entry @param {string} locale @param {string | number | undefined} count @returns {string} */
function pluralForm(entry, locale, count) {
  if (typeof entry === 'string') return entry;
  return entry[new Intl.PluralRules(locale).select(Number(count))] ?? entry.other ?? '';
}

/** @param {string | number | undefined} value @param {string} locale */
function formatValue(value, locale) {
  return typeof value === 'number' ? value.toLocaleString(locale) : value;
}
