// Track storage in memory, for browsers that refuse persistent storage or whose storage fails. The tracks are
// lost when the page is closed.

/** @typedef {import('../types.js').CacheEntry} CacheEntry */

/** @returns {import('./storage.js').TrackStorage} */
export function openMemoryStorage() {
  /** @type {Map<string, {entry: CacheEntry, parts: Blob[]}>} */
  const tracks = new Map();
  const partsOf = (/** @type {CacheEntry} */ { trackId }) => tracks.get(trackId)?.parts ?? [];
  return {
    kind: 'memory',
    list: async () => [...tracks.values()].map(({ entry }) => entry),
    putEntry: async (entry) => void tracks.set(entry.trackId, { entry, parts: partsOf(entry) }),
    append: async (entry, bytes) => {
      const parts = [...partsOf(entry).slice(0, entry.partCount - 1), new Blob([bytes])];
      tracks.set(entry.trackId, { entry, parts });
    },
    readPart: async (entry, partIndex) => partsOf(entry)[partIndex] ?? new Blob(),
    read: async (entry) => new Blob(partsOf(entry).slice(0, entry.partCount), { type: entry.mime }),
    remove: async (trackId) => void tracks.delete(trackId),
    clear: async () => tracks.clear(),
  };
}
