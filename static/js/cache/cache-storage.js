// Keeps tracks in Cache Storage, on secure pages: each part a response of its own, so that a broken
// download can go on where it was, and its parts are never in memory together.

/** @typedef {import('../cache.js').Entry} Entry */

const NAME = 'lockstep-tracks';

/** Addresses in the cache only; the server has nothing there. */
const ROOT = '/kept';

/** @returns {Promise<import('./back.js').Back>} */
export async function openCacheStorage() {
  const cache = await caches.open(NAME);
  const entryUrl = (/** @type {string} */ trackId) => `${ROOT}/${trackId}`;
  const partUrl = (/** @type {string} */ trackId, /** @type {number} */ i) => `${ROOT}/${trackId}/${i}`;

  /** @param {Entry} entry */
  const put = (entry) => cache.put(entryUrl(entry.trackId), Response.json(entry));

  /**
   * @param {Entry} entry
   * @param {number} i
   */
  const part = async ({ trackId }, i) => (await found(cache, partUrl(trackId, i))).blob();

  /**
   * The entry that is kept under an address; one that cannot be read is let go of, with its parts.
   * @param {Request} request
   * @returns {Promise<Entry[]>}
   */
  async function readable(request) {
    try {
      const entry = await (await found(cache, request)).json();
      if (entryUrl(entry.trackId) === new URL(request.url).pathname) return [entry];
    } catch {
      // As if it were none.
    }
    await removeUnder(request.url);
    return [];
  }

  /** @param {string} url */
  async function removeUnder(url) {
    const requests = await cache.keys();
    const own = requests.filter((request) => request.url === url || request.url.startsWith(`${url}/`));
    await Promise.all(own.map((request) => cache.delete(request)));
  }

  return {
    kind: 'Cache Storage',
    put,
    list: async () => {
      const requests = await cache.keys();
      const entries = requests.filter(({ url }) => new URL(url).pathname.split('/').length === 3);
      return (await Promise.all(entries.map(readable))).flat();
    },
    append: async (entry, bytes) => {
      await cache.put(partUrl(entry.trackId, entry.parts - 1), new Response(bytes));
      await put(entry);
    },
    part,
    read: async (entry) => {
      const parts = Array.from({ length: entry.parts }, (_, i) => part(entry, i));
      return new Blob(await Promise.all(parts), { type: entry.mime });
    },
    remove: (trackId) => removeUnder(new URL(entryUrl(trackId), location.href).href),
    clear: () => removeUnder(new URL(ROOT, location.href).href),
  };
}

/**
 * @param {Cache} cache
 * @param {RequestInfo} request
 */
async function found(cache, request) {
  const response = await cache.match(request);
  if (!response) throw new Error('a part is gone');
  return response;
}
