// PURE: the order of titles and names, and the letters under which lists are divided.

import { fold } from './fold.js';

/** The group of names that begin with a digit or a sign. */
export const OTHER_LETTER = '#';

/** A name without its English article, which sorted lists ignore. @param {string} name */
function withoutArticle(name) {
  return name.replace(/^the (?=.)/, '');
}

/**
 * Sorts items by a name, ignoring case, accents and a leading “The”; numbers are in numerical order.
 * @template T
 * @param {Iterable<T>} items
 * @param {(item: T) => string} nameOf
 * @param {string} locale
 * @returns {T[]}
 */
export function sortByName(items, nameOf, locale) {
  const { compare } = new Intl.Collator(locale, { numeric: true });
  const keyed = [...items].map((item) => ({ item, key: withoutArticle(fold(nameOf(item)).trim()) }));
  return keyed.sort((a, b) => groupOf(a.key) - groupOf(b.key) || compare(a.key, b.key)).map(({ item }) => item);
}

/** Names that begin with a letter come before others. @param {string} key */
function groupOf(key) {
  return /^\p{L}/u.test(key) ? 0 : 1;
}

/** The letter under which a name is listed. @param {string} name */
export function letterOf(name) {
  const [first = ''] = withoutArticle(fold(name).trim());
  return /^\p{L}/u.test(first) ? first.toLocaleUpperCase() : OTHER_LETTER;
}

/**
 * The letters of a sorted list, each with the index of its first item.
 * @template T
 * @param {readonly T[]} items
 * @param {(item: T) => string} nameOf
 * @returns {{letter: string, index: number}[]}
 */
export function lettersOf(items, nameOf) {
  /** @type {{letter: string, index: number}[]} */
  const letters = [];
  items.forEach((item, index) => {
    const letter = letterOf(nameOf(item));
    if (letters.at(-1)?.letter !== letter) letters.push({ letter, index });
  });
  return letters;
}
