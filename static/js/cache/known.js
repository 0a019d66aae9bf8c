// What is known of tracks beyond their bytes, kept in IndexedDB: rows of the index with their tags, and the
// durations that only playing has told. A page that finds no index, or one that lacks a duration, has it
// from here. Where nothing can be kept it is known as long as the page lives.

import { sleep } from '../timer.js';
import { completion, openDatabase, result } from './idb.js';

/** @typedef {import('../types.js').Track} Track */
/** @typedef {import('../types.js').TrackId} TrackId */
/** @typedef {Awaited<ReturnType<typeof openKnown>>} Known */

const NAME = 'lockstep-known';
const TRACKS = 'tracks';

/** Some browsers never answer when asked to open a database. */
const OPEN_MS = 3_000;

/**
 * The index with the durations that are known of the same version.
 * @param {ReadonlyMap<TrackId, Track>} index
 * @param {ReadonlyMap<TrackId, Track>} known
 * @returns {Map<TrackId, Track>}
 */
export function complete(index, known) {
  const completed = new Map(index);
  for (const [trackId, track] of index) {
    const before = known.get(trackId);
    if (track.duration === undefined && before?.duration !== undefined && before.version === track.version) {
      completed.set(trackId, { ...track, duration: before.duration });
    }
  }
  return completed;
}

/**
 * What is new of `index` and has to be written, and what is gone.
 * @param {ReadonlyMap<TrackId, Track>} index
 * @param {ReadonlyMap<TrackId, Track>} known
 */
export function changes(index, known) {
  const put = [...index.values()].filter((track) => {
    const before = known.get(track.trackId);
    return before?.version !== track.version || before.duration !== track.duration;
  });
  // An empty library is more likely a disk that is not mounted than music given up.
  const gone = index.size === 0 ? [] : [...known.keys()].filter((trackId) => !index.has(trackId));
  return { put, gone };
}

export async function openKnown() {
  const create = (/** @type {IDBDatabase} */ created) => created.createObjectStore(TRACKS, { keyPath: 'trackId' });
  const opening = openDatabase(NAME, create).catch(() => null);
  const db = await Promise.race([opening, sleep(OPEN_MS).then(() => null)]);
  /** @type {Track[]} */
  const rows = db ? await result(db.transaction(TRACKS).objectStore(TRACKS).getAll()).catch(() => []) : [];
  /** @type {ReadonlyMap<TrackId, Track>} */
  let known = new Map(rows.map((track) => [track.trackId, track]));

  /** @param {ReadonlyMap<TrackId, Track>} index */
  async function write(index) {
    const { put, gone } = changes(index, known);
    known = index.size === 0 ? known : index;
    if (!db || put.length + gone.length === 0) return;
    const transaction = db.transaction(TRACKS, 'readwrite');
    const tracks = transaction.objectStore(TRACKS);
    for (const track of put) tracks.put(track);
    for (const trackId of gone) tracks.delete(trackId);
    await completion(transaction);
  }

  return {
    tracks: () => known,
    /**
     * Remembers an index, and gives it back with what was known of its tracks.
     * @param {ReadonlyMap<TrackId, Track>} index
     */
    take: (index) => {
      const completed = complete(index, known);
      // It can be learned again.
      write(completed).catch(() => {});
      return completed;
    },
  };
}
