// Where tracks are kept, behind one interface. A back stores parts and never thinks: what to keep
// is decided in cache.js, and what is whole by who fetches.

import { within } from '../timer.js';
import { openCacheStorage } from './cache-storage.js';
import { openIndexedDb } from './indexed-db.js';
import { openMemory } from './memory.js';

/** @typedef {import('../cache.js').Entry} Entry */
/** @typedef {import('../types.js').TrackId} TrackId */

/**
 * @typedef {object} Back
 * @property {'Cache Storage' | 'IndexedDB' | 'memory'} kind
 * @property {() => Promise<Entry[]>} list
 * @property {(entry: Entry) => Promise<void>} put Writes the entry alone.
 * @property {(entry: Entry, bytes: ArrayBuffer) => Promise<void>} append Writes the last part of
 *   `entry`, whose `parts` and `receivedBytes` count it already.
 * @property {(entry: Entry, i: number) => Promise<Blob>} part
 * @property {(entry: Entry) => Promise<Blob>} read All parts, as one.
 * @property {(trackId: TrackId) => Promise<void>} remove
 * @property {() => Promise<void>} clear
 */

/** Of so many bytes each part is but the last: some browsers fail on larger values. */
export const PART_BYTES = 4 * 1024 * 1024;

/** Some browsers never answer when asked to open a database; silence counts as a no. */
const OPEN_MS = 3_000;

/**
 * The best back that works here. A page over plain http has no Cache Storage, and a private window
 * may have neither.
 * @returns {Promise<Back>}
 */
export async function openBack() {
  const tries = isSecureContext && 'caches' in self ? [openCacheStorage, openIndexedDb] : [openIndexedDb];
  for (const open of tries) {
    try {
      return await within(OPEN_MS, opened(open));
    } catch {
      continue;
    }
  }
  return openMemory();
}

/** Asks the browser to give up other things before the music; it may say no, and on some pages there is nobody to ask. */
export async function askToPersist() {
  await navigator.storage?.persist?.().catch(() => false);
}

/** @param {() => Promise<Back>} open */
async function opened(open) {
  const back = await open();
  await back.list();
  return back;
}
