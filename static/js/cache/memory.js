// Keeps tracks as long as the page lives, for browsers that let it keep nothing longer.

/** @typedef {import('../cache.js').Entry} Entry */

/** @returns {import('./back.js').Back} */
export function openMemory() {
  /** @type {Map<string, {entry: Entry, parts: Blob[]}>} */
  const kept = new Map();
  return {
    kind: 'memory',
    list: async () => [...kept.values()].map(({ entry }) => entry),
    put: async (entry) => {
      kept.set(entry.trackId, { entry, parts: kept.get(entry.trackId)?.parts ?? [] });
    },
    append: async (entry, part) => {
      const parts = kept.get(entry.trackId)?.parts ?? [];
      kept.set(entry.trackId, { entry, parts: [...parts, new Blob([part])] });
    },
    read: async (entry) => new Blob(kept.get(entry.trackId)?.parts ?? [], { type: entry.mime }),
    remove: async (trackId) => void kept.delete(trackId),
    clear: async () => kept.clear(),
  };
}
