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

  return {
    kind: 'Cache Storage',
    put,
    list: async () => {
      const requests = await cache.keys();
      const entries = requests.filter(({ url }) => new URL(url).pathname.split('/').length === 3);
      return Promise.all(entries.map(async (request) => (await found(cache, request)).json()));
    },
    append: async (entry, part) => {
      await cache.put(partUrl(entry.trackId, entry.parts - 1), new Response(part));
      await put(entry);
    },
    read: async (entry) => {
      const parts = Array.from({ length: entry.parts }, async (_, i) =>
        (await found(cache, partUrl(entry.trackId, i))).blob(),
      );
      return new Blob(await Promise.all(parts), { type: entry.mime });
    },
    remove: async (trackId) => {
      const url = new URL(entryUrl(trackId), location.href).href;
      const requests = await cache.keys();
      const own = requests.filter((request) => request.url === url || request.url.startsWith(`${url}/`));
      await Promise.all(own.map((request) => cache.delete(request)));
    },
    clear: async () => {
      const requests = await cache.keys();
      await Promise.all(requests.map((request) => cache.delete(request)));
    },
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
