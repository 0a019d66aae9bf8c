// Places in a line: 1st, 2nd, 3rd.

import { currentLocale, isTextKey, text } from './texts.js';

/** @param {number} number @returns {string} `3rd` */
export function ordinal(number) {
  const key = `ordinal.${new Intl.PluralRules(currentLocale(), { type: 'ordinal' }).select(number)}`;
  return text(isTextKey(key) ? key : 'ordinal.other', { number });
}
