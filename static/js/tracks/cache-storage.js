// Track storage in Cache Storage, for secure pages. Each part is a response of its own, so that a download can be
// resumed and the parts never need to be in memory together.

import { readStoredEntry } from './stored-entry.js';

/** @typedef {import('../types.js').CacheEntry} CacheEntry */

const CACHE_NAME = 'lockstep-tracks';

/** Entries and parts have URLs below this path. The URLs exist in the cache only, not on the server. */
const ROOT_PATH = '/kept';

/** @returns {Promise<import('./storage.js').TrackStorage>} */
export async function openCacheStorage() {
  const cache = await caches.open(CACHE_NAME);
  const entryUrl = (/** @type {string} */ trackId) => `${ROOT_PATH}/${trackId}`;
  const partUrl = (/** @type {string} */ trackId, /** @type {number} */ partIndex) => `${ROOT_PATH}/${trackId}/${partIndex}`;

  /** @param {CacheEntry} entry */
  const putEntry = (entry) => cache.put(entryUrl(entry.trackId), new Response(JSON.stringify(entry)));

  /** @param {CacheEntry} entry @param {number} partIndex */
  const readPart = async ({ trackId }, partIndex) => (await matchOrThrow(cache, partUrl(trackId, partIndex))).blob();

  /**
   * Reads the entry at a URL. An unreadable entry is removed with its parts.
   * @param {Request} request
   * @returns {Promise<CacheEntry[]>} one entry or none
   */
  async function readOrRemoveEntry(request) {
    try {
      const entry = await (await matchOrThrow(cache, request)).json();
      if (entryUrl(entry.trackId) === new URL(request.url).pathname) return [readStoredEntry(entry)];
    } catch {
      // Not an entry: removed below.
    }
    await removeBelow(request.url);
    return [];
  }

  /** Removes the response at `url` and all responses below it. @param {string} url */
  async function removeBelow(url) {
    const requests = await cache.keys();
    const matching = requests.filter((request) => request.url === url || request.url.startsWith(`${url}/`));
    await Promise.all(matching.map((request) => cache.delete(request)));
  }

  return {
    kind: 'Cache Storage',
    putEntry,
    list: async () => {
      const requests = await cache.keys();
      // An entry has two path segments (`/kept/<trackId>`), and a part has three. `split` returns one item more, because
      // of the slash at the beginning.
      const entryRequests = requests.filter(({ url }) => new URL(url).pathname.split('/').length === 3);
      return (await Promise.all(entryRequests.map(readOrRemoveEntry))).flat();
    },
    append: async (entry, bytes) => {
      await cache.put(partUrl(entry.trackId, entry.partCount - 1), new Response(bytes));
      await putEntry(entry);
    },
    readPart,
    read: async (entry) => {
      const parts = Array.from({ length: entry.partCount }, (_, partIndex) => readPart(entry, partIndex));
      return new Blob(await Promise.all(parts), { type: entry.mime });
    },
    remove: (trackId) => removeBelow(new URL(entryUrl(trackId), location.href).href),
    clear: () => removeBelow(new URL(ROOT_PATH, location.href).href),
  };
}

/** @param {Cache} cache @param {RequestInfo} request */
async function matchOrThrow(cache, request) {
  const response = await cache.match(request);
  if (!response) throw new Error('missing from the cache');
  return response;
}
