// Keeps tracks as long as the page lives, for browsers that let it keep nothing longer.

/** @typedef {import('../cache.js').Entry} Entry */

/** @returns {import('./back.js').Back} */
export function openMemory() {
  /** @type {Map<string, {entry: Entry, parts: Blob[]}>} */
  const kept = new Map();
  const partsOf = (/** @type {Entry} */ { trackId }) => kept.get(trackId)?.parts ?? [];
  return {
    kind: 'memory',
    list: async () => [...kept.values()].map(({ entry }) => entry),
    put: async (entry) => void kept.set(entry.trackId, { entry, parts: partsOf(entry) }),
    append: async (entry, bytes) => {
      const parts = [...partsOf(entry).slice(0, entry.parts - 1), new Blob([bytes])];
      kept.set(entry.trackId, { entry, parts });
    },
    part: async (entry, i) => partsOf(entry)[i] ?? new Blob(),
    read: async (entry) => new Blob(partsOf(entry).slice(0, entry.parts), { type: entry.mime }),
    remove: async (trackId) => void kept.delete(trackId),
    clear: async () => kept.clear(),
  };
}
