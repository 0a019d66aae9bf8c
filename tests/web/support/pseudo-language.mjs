// Pseudo-languages: tables made from the English one, by which tests find words that are not from the table, and layouts that only
// short texts fit. The browser asks for German and gets the pseudo-language as its table.

import { en } from '../../../static/js/language/en.js';

const ACCENTED = new Map(
  ['aá', 'bƀ', 'cç', 'dđ', 'eé', 'fƒ', 'gĝ', 'hĥ', 'ií', 'jĵ', 'kķ', 'lĺ', 'mɱ', 'nñ', 'oó', 'pþ', 'qǫ', 'rŕ', 'sš', 'tţ', 'uú', 'vʋ', 'wŵ', 'xẋ', 'yý', 'zž',
    'AÁ', 'BƁ', 'CÇ', 'DĐ', 'EÉ', 'FƑ', 'GĜ', 'HĤ', 'IÍ', 'JĴ', 'KĶ', 'LĹ', 'MṀ', 'NÑ', 'OÓ', 'PÞ', 'QǪ', 'RŔ', 'SŠ', 'TŢ', 'UÚ', 'VṼ', 'WŴ', 'XẊ', 'YÝ', 'ZŽ'].map((pair) => [pair[0], pair[1]]),
);
const ARABIC = [...'ابتثجحخدذرزسشصضطظعغفقكلمنهوي'];

/** Every word becomes 40 % longer and gets accents on each letter. @param {string} word */
function accented(word) {
  const longer = word + [...word].slice(0, Math.ceil(word.length * 0.4)).reverse().join('');
  return [...longer].map((letter) => ACCENTED.get(letter) ?? letter).join('').replace(/(?<=.)\p{Lu}/gu, (letter) => letter.toLowerCase());
}

/** Every word becomes Arabic letters, a quarter more than the word has. @param {string} word */
function arabic(word) {
  return Array.from({ length: Math.ceil(word.length * 1.25) }, (_, i) => ARABIC[(word.charCodeAt(i % word.length) * 7 + i) % ARABIC.length]).join('');
}

/** Replaces the words between the placeholders. @param {(word: string) => string} replaceWord @param {string} text */
function replaceWords(replaceWord, text) {
  return text.split(/(\{\w+\})/).map((part) => (part.startsWith('{') ? part : part.replace(/[A-Za-z]+/g, replaceWord))).join('');
}

/** @param {(word: string) => string} replaceWord */
function moduleOf(replaceWord) {
  const replaceIn = (/** @type {string | object} */ entry) =>
    typeof entry === 'string' ? replaceWords(replaceWord, entry) : Object.fromEntries(Object.entries(entry).map(([form, text]) => [form, replaceWords(replaceWord, text)]));
  const table = Object.fromEntries(Object.entries(en).map(([key, entry]) => [key, replaceIn(entry)]));
  return `export const de = ${JSON.stringify(table)};`;
}

/** The names of the pseudo-languages. */
export const PSEUDO_LANGUAGES = /** @type {const} */ ({ longer: accented, 'right to left': arabic });

/**
 * Replaces the German table by a pseudo-language, for pages that are opened later.
 * @param {import('playwright-core').BrowserContext} context
 * @param {keyof typeof PSEUDO_LANGUAGES} name
 */
export async function usePseudoLanguage(context, name) {
  await context.route('**/js/language/tables/de.js*', (route) => route.fulfill({ contentType: 'text/javascript', body: moduleOf(PSEUDO_LANGUAGES[name]) }));
  if (name === 'right to left') {
    await context.addInitScript(() => document.addEventListener('DOMContentLoaded', () => (document.documentElement.dir = 'rtl')));
  }
}

/** A text as the pseudo-language of longer texts shows it. @param {string} text */
export const accentedText = (text) => replaceWords(accented, text);

/**
 * Runs in the page: visible texts, labels and placeholders with letters of the English alphabet. All of the table's texts are without
 * such letters, so these words are not from the table.
 * @param {string[]} content titles, names and other texts that are not the page's own
 */
export function foreignWords(content) {
  const units = /\b(ms|dB|kB|MB|GB|ppm|MP3|FLAC|Ogg|M4A|WAV|AIFF|IndexedDB|Cache Storage)\b/g;
  const allowed = ['Lockstep', ...content].sort((a, b) => b.length - a.length);
  const isForeign = (/** @type {string | null} */ text) => {
    let rest = text ?? '';
    for (const known of allowed) rest = rest.replaceAll(known, '');
    return /[A-Za-z]/.test(rest.replace(units, ''));
  };
  const words = [];
  const visible = [...document.querySelectorAll('body, body *')].filter((element) => element.checkVisibility({ visibilityProperty: true }) && !element.matches('script, noscript, template, option[lang], .initials, .avatar, .letters, .letters *'));
  for (const element of visible) {
    for (const node of element.childNodes) if (node.nodeType === Node.TEXT_NODE && isForeign(node.textContent)) words.push(`text: ${node.textContent}`);
    for (const name of ['aria-label', 'aria-valuetext', 'placeholder', 'title', 'alt']) if (isForeign(element.getAttribute(name))) words.push(`${name}: ${element.getAttribute(name)}`);
  }
  return words;
}
