// Track storage in IndexedDB. Parts are stored as ArrayBuffers, because Safari on iOS fails in several ways to store
// Blobs in IndexedDB, and are read one at a time by primary key.

import { createDatabase } from './database.js';
import { readStoredEntry } from './stored-entry.js';

/** @typedef {import('../types.js').CacheEntry} CacheEntry */

const DATABASE_NAME = 'lockstep';
const ENTRY_STORE = 'entries';
const PART_STORE = 'parts';

/** @returns {Promise<import('./storage.js').TrackStorage>} */
export async function openIndexedDb() {
  const transact = createDatabase(DATABASE_NAME, (db) => {
    db.createObjectStore(ENTRY_STORE, { keyPath: 'trackId' });
    db.createObjectStore(PART_STORE);
  });

  /** @param {CacheEntry} entry @param {number} partIndex */
  async function readPart({ trackId }, partIndex) {
    const bytes = await transact('readonly', (objectStore) => objectStore(PART_STORE).get([trackId, partIndex]));
    if (!(bytes instanceof ArrayBuffer)) throw new Error('a part is missing from IndexedDB');
    return new Blob([bytes]);
  }

  return {
    kind: 'IndexedDB',
    list: async () => (await transact('readonly', (objectStore) => objectStore(ENTRY_STORE).getAll())).map(readStoredEntry),
    putEntry: (entry) => transact('readwrite', (objectStore) => void objectStore(ENTRY_STORE).put(entry)),
    append: (entry, bytes) =>
      transact('readwrite', (objectStore) => {
        objectStore(PART_STORE).put(bytes, [entry.trackId, entry.partCount - 1]);
        objectStore(ENTRY_STORE).put(entry);
      }),
    readPart,
    read: async (entry) => {
      const blobs = [];
      for (let partIndex = 0; partIndex < entry.partCount; partIndex += 1) blobs.push(await readPart(entry, partIndex));
      return new Blob(blobs, { type: entry.mime });
    },
    remove: (trackId) =>
      transact('readwrite', (objectStore) => {
        objectStore(ENTRY_STORE).delete(trackId);
        // All keys [trackId, partIndex]: in IndexedDB, arrays sort after numbers.
        objectStore(PART_STORE).delete(IDBKeyRange.bound([trackId], [trackId, []]));
      }),
    clear: () =>
      transact('readwrite', (objectStore) => {
        objectStore(ENTRY_STORE).clear();
        objectStore(PART_STORE).clear();
      }),
  };
}
