// Keeps tracks in IndexedDB: ArrayBuffers, since Blobs in it fail in some browsers, read one at a
// time by primary key.

import { completion, openDatabase, result } from './idb.js';

/** @typedef {import('../cache.js').Entry} Entry */

const NAME = 'lockstep';
const ENTRIES = 'entries';
const PARTS = 'parts';

/** @returns {Promise<import('./back.js').Back>} */
export async function openIndexedDb() {
  const db = await openDatabase(NAME, (created) => {
    created.createObjectStore(ENTRIES, { keyPath: 'trackId' });
    created.createObjectStore(PARTS);
  });

  /** @param {IDBTransactionMode} mode */
  const begin = (mode) => {
    const transaction = db.transaction([ENTRIES, PARTS], mode);
    return {
      entries: transaction.objectStore(ENTRIES),
      parts: transaction.objectStore(PARTS),
      done: completion(transaction),
    };
  };

  return {
    kind: 'IndexedDB',
    list: () => result(begin('readonly').entries.getAll()),
    put: async (entry) => {
      const { entries, done } = begin('readwrite');
      entries.put(entry);
      await done;
    },
    append: async (entry, part) => {
      const { entries, parts, done } = begin('readwrite');
      parts.put(part, [entry.trackId, entry.parts - 1]);
      entries.put(entry);
      await done;
    },
    read: async (entry) => {
      const blobs = [];
      for (let i = 0; i < entry.parts; i += 1) {
        const part = await result(begin('readonly').parts.get([entry.trackId, i]));
        if (!(part instanceof ArrayBuffer)) throw new Error('a part is gone');
        blobs.push(new Blob([part]));
      }
      return new Blob(blobs, { type: entry.mime });
    },
    remove: async (trackId) => {
      const { entries, parts, done } = begin('readwrite');
      entries.delete(trackId);
      parts.delete(IDBKeyRange.bound([trackId], [trackId, []]));
      await done;
    },
    clear: async () => {
      const { entries, parts, done } = begin('readwrite');
      entries.clear();
      parts.clear();
      await done;
    },
  };
}
