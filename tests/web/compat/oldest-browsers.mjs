// The oldest browsers that the page supports, and which of them lack a feature, by MDN's browser compatibility data.

import data from '@mdn/browser-compat-data' with { type: 'json' };

/**
 * iOS 15.4 runs on the iPhone 6s, 7 and SE of 2016, whose last system is iOS 15.8. Chrome 100 runs on Android 6, whose last Chrome
 * is 106. Firefox 102 is an ESR of the same months.
 */
export const OLDEST_BROWSERS = { safari_ios: 15.4, chrome_android: 100, firefox: 102, firefox_android: 102 };

/** The same browsers for people. */
export const OLDEST_BROWSERS_TEXT = 'iOS 15.4, Chrome 100 or Firefox 102';

/**
 * The entry of a feature in the data; `undefined` if there is none.
 * @param {...string} path
 * @returns {Record<string, any> | undefined}
 */
export function findFeature(...path) {
  /** @type {any} */
  let entry = data;
  for (const name of path) {
    if (entry === undefined || !Object.hasOwn(entry, name)) return undefined;
    entry = entry[name];
  }
  return entry?.__compat ? entry : undefined;
}

/** The supported browsers that lack the feature. @param {Record<string, any>} feature @returns {string[]} */
export function browsersWithout(feature) {
  return Object.entries(OLDEST_BROWSERS)
    .filter(([browser, oldest]) => !isSupported(feature.__compat.support[browser], oldest))
    .map(([browser]) => browser);
}

/** @param {any} support one statement, or several of which the first is the newest @param {number} oldest version */
function isSupported(support, oldest) {
  // Without a statement, nothing is known against the feature.
  if (support === undefined) return true;
  return [support].flat().some((statement) => {
    const { version_added: added, version_removed: removed, flags, prefix, alternative_name, partial_implementation } = statement;
    if (flags || alternative_name || prefix) return false;
    if (added === null || added === 'preview' || !added) return false;
    if (partial_implementation && removed) return false;
    const isRemoved = removed && removed !== 'preview' && Number.parseFloat(removed) <= oldest;
    return !isRemoved && Number.parseFloat(String(added).replace('≤', '')) <= oldest;
  });
}
