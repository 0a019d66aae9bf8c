// The interface of the track storages (Cache Storage, IndexedDB, memory), and the choice between them. A storage reads
// and writes entries and parts; cache-policy.js decides which tracks to store.

import { withTimeout } from '../timer.js';
import { openCacheStorage } from './cache-storage.js';
import { openIndexedDb } from './indexed-db.js';
import { openMemoryStorage } from './memory-storage.js';

/** @typedef {import('../types.js').CacheEntry} CacheEntry */
/** @typedef {import('../types.js').TrackId} TrackId */

/**
 * @typedef {object} TrackStorage
 * @property {'Cache Storage' | 'IndexedDB' | 'memory'} kind
 * @property {() => Promise<CacheEntry[]>} list
 * @property {(entry: CacheEntry) => Promise<void>} putEntry Writes the entry but no part.
 * @property {(entry: CacheEntry, bytes: ArrayBuffer) => Promise<void>} append Writes the entry and its last part, which
 *   the entry's `partCount` and `receivedBytes` include.
 * @property {(entry: CacheEntry, partIndex: number) => Promise<Blob>} readPart
 * @property {(entry: CacheEntry) => Promise<Blob>} read All parts in one Blob.
 * @property {(trackId: TrackId) => Promise<void>} remove
 * @property {() => Promise<void>} clear
 */

/** Size of each part except the last. Safari on iOS fails to store larger values in IndexedDB. */
export const PART_BYTES = 4 * 1024 * 1024;

/** In Safari 14.1.1 and iOS 14.6 the first `indexedDB.open()` may never be answered (WebKit bug 226547). */
const OPEN_TIMEOUT_MS = 3_000;

/**
 * Opens the best storage that works in this browser. An insecure page has no Cache Storage, and a private window may
 * have neither Cache Storage nor IndexedDB.
 * @returns {Promise<TrackStorage>}
 */
export async function openStorage() {
  const candidates = isSecureContext && 'caches' in self ? [openCacheStorage, openIndexedDb] : [openIndexedDb];
  for (const open of candidates) {
    try {
      return await withTimeout(OPEN_TIMEOUT_MS, openAndTest(open));
    } catch {
      continue;
    }
  }
  return openMemoryStorage();
}

/**
 * Asks the browser not to evict this origin's storage. The browser may refuse, and insecure pages lack
 * `navigator.storage`.
 */
export async function requestPersistence() {
  await navigator.storage?.persist?.().catch(() => false);
}

/**
 * Opens a storage and tests it: some browsers open a storage that then fails at the first request.
 * @param {() => Promise<TrackStorage>} open
 */
async function openAndTest(open) {
  const storage = await open();
  await storage.list();
  return storage;
}
