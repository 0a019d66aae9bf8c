// Keeps tracks in IndexedDB: ArrayBuffers, since Blobs in it fail in some browsers, read one at a
// time by primary key.

import { createDatabase } from './idb.js';

/** @typedef {import('../cache.js').Entry} Entry */

const NAME = 'lockstep';
const ENTRIES = 'entries';
const PARTS = 'parts';

/** @returns {Promise<import('./back.js').Back>} */
export async function openIndexedDb() {
  const transact = createDatabase(NAME, (created) => {
    created.createObjectStore(ENTRIES, { keyPath: 'trackId' });
    created.createObjectStore(PARTS);
  });

  /**
   * @param {Entry} entry
   * @param {number} i
   */
  async function part({ trackId }, i) {
    const found = await transact('readonly', (store) => store(PARTS).get([trackId, i]));
    if (!(found instanceof ArrayBuffer)) throw new Error('a part is gone');
    return new Blob([found]);
  }

  return {
    kind: 'IndexedDB',
    list: () => transact('readonly', (store) => store(ENTRIES).getAll()),
    put: (entry) => transact('readwrite', (store) => void store(ENTRIES).put(entry)),
    append: (entry, bytes) =>
      transact('readwrite', (store) => {
        store(PARTS).put(bytes, [entry.trackId, entry.parts - 1]);
        store(ENTRIES).put(entry);
      }),
    part,
    read: async (entry) => {
      const blobs = [];
      for (let i = 0; i < entry.parts; i += 1) blobs.push(await part(entry, i));
      return new Blob(blobs, { type: entry.mime });
    },
    remove: (trackId) =>
      transact('readwrite', (store) => {
        store(ENTRIES).delete(trackId);
        store(PARTS).delete(IDBKeyRange.bound([trackId], [trackId, []]));
      }),
    clear: () =>
      transact('readwrite', (store) => {
        store(ENTRIES).clear();
        store(PARTS).clear();
      }),
  };
}
