// The stored tracks: a storage, and a copy of its entries in memory, so that a lookup needs no request to the
// storage. Falls back to memory when the storage fails.

import { isComplete } from './cache-policy.js';
import { openMemoryStorage } from './memory-storage.js';

/** @typedef {import('../types.js').CacheEntry} CacheEntry */
/** @typedef {import('../types.js').TrackId} TrackId */

/**
 * @param {import('./storage.js').TrackStorage} persistentStorage
 * @param {object} options
 * @param {() => void} options.onRemoved tracks were removed
 * @param {() => void} options.onFallback the storage failed, and tracks are stored in memory only
 */
export async function openStoredTracks(persistentStorage, { onRemoved, onFallback }) {
  let storage = persistentStorage;
  /** @type {Map<TrackId, CacheEntry>} */
  const entries = new Map();
  try {
    for (const entry of await storage.list()) entries.set(entry.trackId, entry);
  } catch {
    fallBackToMemory();
  }

  /** Continues with an empty storage in memory. */
  function fallBackToMemory() {
    storage = openMemoryStorage();
    entries.clear();
    onFallback();
  }

  /** @param {TrackId} trackId */
  async function remove(trackId) {
    entries.delete(trackId);
    onRemoved();
    // An entry that the storage fails to remove is overwritten by the next download of the track, or listed again at the
    // next start of the page.
    await storage.remove(trackId).catch(() => {});
  }

  return {
    get kind() {
      return storage.kind;
    },
    entries: () => [...entries.values()],
    entryOf: (/** @type {TrackId} */ trackId) => entries.get(trackId),
    usedBytes: () => [...entries.values()].reduce((bytes, { receivedBytes }) => bytes + receivedBytes, 0),
    fallBackToMemory,

    /**
     * Writes an entry and its last part to the storage. `entries` contains the entry only after a call of `record`.
     * @param {CacheEntry} entry
     * @param {ArrayBuffer} bytes
     */
    write: (entry, bytes) => storage.append(entry, bytes),
    /** Adds an entry that `write` has stored to `entries`. @param {CacheEntry} entry */
    record: (entry) => void entries.set(entry.trackId, entry),

    /**
     * @param {CacheEntry} entry
     * @param {number} partIndex
     * @returns {Promise<Blob | null>} `null` if the storage does not have the part
     */
    readPart: (entry, partIndex) => storage.readPart(entry, partIndex).catch(() => null),

    /**
     * Reads a track, and records the time of use.
     * @param {TrackId} trackId
     * @returns {Promise<Blob | null>} `null` if the track is not stored completely
     */
    read: async (trackId) => {
      const entry = entries.get(trackId);
      if (!entry || !isComplete(entry)) return null;
      try {
        const blob = await storage.read(entry);
        if (blob.size !== entry.size) throw new Error('bytes are missing');
        const usedEntry = { ...entry, usedAtMs: Date.now() };
        entries.set(trackId, usedEntry);
        storage.putEntry(usedEntry).catch(() => {});
        return blob;
      } catch {
        // Browsers evict stored data without notice. The entry is removed, so that the track is downloaded again.
        await remove(trackId);
        return null;
      }
    },

    remove,
    /** Removes all tracks except the given one. @param {TrackId | null} exemptTrackId */
    clear: async (exemptTrackId) => {
      const otherTrackIds = [...entries.keys()].filter((trackId) => trackId !== exemptTrackId);
      for (const trackId of otherTrackIds) entries.delete(trackId);
      onRemoved();
      // An entry that the storage fails to remove counts as removed, because `entries` no longer contains it.
      await (entries.size > 0 ? Promise.all(otherTrackIds.map(storage.remove)) : storage.clear()).catch(() => {});
    },
  };
}
