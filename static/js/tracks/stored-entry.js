// PURE: reads cache entries that earlier versions of the page have stored.

/** @typedef {import('../types.js').CacheEntry} CacheEntry */

/**
 * @param {CacheEntry & {parts?: number}} stored `parts` is the name of `partCount` in entries of earlier versions
 * @returns {CacheEntry}
 */
export function readStoredEntry({ parts = 0, ...entry }) {
  return { ...entry, partCount: entry.partCount ?? parts };
}
