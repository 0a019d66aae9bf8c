// PURE: folds texts for searching and sorting: without case, accents and apostrophes.

/** Letters that Unicode does not decompose, but that people type as others. */
const REPLACEMENTS = /** @type {Record<string, string>} */ ({ ß: 'ss', æ: 'ae', œ: 'oe', ø: 'o', ł: 'l', đ: 'd', ð: 'd', þ: 'th', ı: 'i' });

const NOT_DECOMPOSED = new RegExp(`[${Object.keys(REPLACEMENTS).join('')}]`, 'g');
const ASCII_ONLY = /^[\0-\x7f]*$/;
const WORD = /[\p{L}\p{N}]+/gu;

/** Scripts that are written without spaces between words. */
const UNSPACED_SCRIPT = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Khmer}\p{Script=Lao}]/u;

/** @param {string} text */
export function fold(text) {
  // Most titles are ASCII, for which the decomposition is superfluous.
  const plain = ASCII_ONLY.test(text) ? text.toLowerCase() : foldOther(text);
  return plain.replace(/['’`´]/g, '');
}

/** @param {string} text */
function foldOther(text) {
  const withoutMarks = text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();
  return withoutMarks.replace(NOT_DECOMPOSED, (letter) => REPLACEMENTS[letter] ?? letter);
}

/** The folded words of a text. @param {string} text @returns {string[]} */
export function wordsOf(text) {
  return fold(text).match(WORD) ?? [];
}

/**
 * The words under which a text is found by their beginnings. In a script without spaces, a word may begin at each character.
 * @param {string} text
 * @returns {string[]}
 */
export function searchWordsOf(text) {
  const words = wordsOf(text);
  if (ASCII_ONLY.test(text)) return words;
  return words.flatMap((word) => (UNSPACED_SCRIPT.test(word) ? [...word].map((_, i, letters) => letters.slice(i).join('')) : [word]));
}
