// The tracks on this phone: what lies on the back, known without asking it, and room made when it
// gets full. Which tracks go is decided in cache.js.

import { budget, isWhole, outdated, toEvict } from '../cache.js';

/** @typedef {import('../cache.js').Entry} Entry */
/** @typedef {import('../types.js').Track} Track */
/** @typedef {import('../types.js').TrackId} TrackId */
/** @typedef {Awaited<ReturnType<typeof createShelf>>} Shelf */

/**
 * @param {import('./back.js').Back} back
 * @param {object} options
 * @param {() => ReadonlySet<TrackId>} options.pins
 * @param {() => void} options.onRemoved
 */
export async function createShelf(back, { pins, onRemoved }) {
  /** @type {Map<TrackId, Entry>} */
  const entries = new Map((await back.list()).map((entry) => [entry.trackId, entry]));

  /** @param {TrackId} trackId */
  async function remove(trackId) {
    entries.delete(trackId);
    onRemoved();
    await back.remove(trackId);
  }

  function usedBytes() {
    return [...entries.values()].reduce((sum, entry) => sum + entry.receivedBytes, 0);
  }

  /** @param {number} needBytes */
  async function makeRoom(needBytes) {
    const estimate = (await navigator.storage?.estimate?.().catch(() => null)) ?? null;
    const limit = budget(estimate, usedBytes());
    for (const trackId of toEvict([...entries.values()], pins(), needBytes, limit)) {
      await remove(trackId);
    }
  }

  /**
   * Evicts what it can when the browser says that it is full, and tries once more.
   * @param {TrackId} own what it writes to, and so cannot evict
   * @param {number} needBytes
   * @param {() => Promise<void>} write
   */
  async function withRoom(own, needBytes, write) {
    try {
      await write();
    } catch (error) {
      if (!isQuota(error)) throw error;
      const all = [...entries.values()];
      const kept = new Set([...pins(), own]);
      for (const trackId of toEvict(all, kept, needBytes, usedBytes())) await remove(trackId);
      await write();
    }
  }

  return {
    kind: back.kind,
    usedBytes,
    /** @returns {Set<TrackId>} */
    held: () => new Set([...entries.values()].filter(isWhole).map(({ trackId }) => trackId)),

    /**
     * The entry to go on with for `track`: what is there of this version, or an empty one.
     * @param {Track} track
     * @returns {Promise<Entry>}
     */
    begin: async (track) => {
      const { trackId, version, mime, size } = track;
      const known = entries.get(trackId);
      if (known?.version === version && known.size === size) return known;
      if (known) await remove(trackId);
      await makeRoom(size);
      return { trackId, version, mime, size, receivedBytes: 0, parts: 0, usedAtMs: Date.now() };
    },

    /**
     * @param {Entry} entry
     * @param {ArrayBuffer} part
     * @returns {Promise<Entry>} the entry with it
     */
    append: async (entry, part) => {
      const longer = {
        ...entry,
        parts: entry.parts + 1,
        receivedBytes: entry.receivedBytes + part.byteLength,
        usedAtMs: Date.now(),
      };
      // Cleared in the meantime, its first parts are gone: what follows would be a track with a hole.
      const check = () => {
        if (entry.parts > 0 && entries.get(entry.trackId) !== entry) throw new Error('the entry is gone');
      };
      await withRoom(entry.trackId, part.byteLength, async () => {
        check();
        await back.append(longer, part);
      });
      check();
      entries.set(longer.trackId, longer);
      return longer;
    },

    /**
     * @param {TrackId} trackId
     * @returns {Promise<Blob | null>} `null` when it is not there after all
     */
    read: async (trackId) => {
      const entry = entries.get(trackId);
      if (!entry || !isWhole(entry)) return null;
      try {
        const blob = await back.read(entry);
        if (blob.size !== entry.size) throw new Error('bytes are missing');
        const used = { ...entry, usedAtMs: Date.now() };
        entries.set(trackId, used);
        back.put(used).catch(() => {});
        return blob;
      } catch {
        // A browser may take back what it kept, at any time; then it is fetched again.
        await remove(trackId).catch(() => {});
        return null;
      }
    },

    /**
     * Lets go of what the library no longer has in this version. An empty library is more likely a
     * disk that is not mounted than music given up.
     * @param {ReadonlyMap<TrackId, Track>} index
     */
    follow: async (index) => {
      if (index.size === 0) return;
      await Promise.all(outdated([...entries.values()], index).map(remove));
    },

    remove,
    clear: async () => {
      entries.clear();
      onRemoved();
      await back.clear();
    },
  };
}

/** @param {unknown} error */
export function isQuota(error) {
  return error instanceof DOMException && error.name === 'QuotaExceededError';
}
