// The index cache: a copy of the library index in IndexedDB, with the durations that were measured during playback. The
// page uses the copy while the server is unreachable, and takes durations from it that the server's index lacks. Where
// IndexedDB fails, the copy is in memory only.

import { withTimeout } from '../timer.js';
import { createDatabase } from './database.js';

/** @typedef {import('../types.js').Track} Track */
/** @typedef {import('../types.js').TrackId} TrackId */
/** @typedef {Awaited<ReturnType<typeof openIndexCache>>} IndexCache */

// Phones in use have a database of this name; with another name their copies would be left behind.
const DATABASE_NAME = 'lockstep-known';
const TRACK_STORE = 'tracks';

const READ_TIMEOUT_MS = 3_000;

/** @param {readonly Track[]} tracks @returns {Map<TrackId, Track>} */
export function indexTracks(tracks) {
  return new Map(tracks.map((track) => [track.trackId, track]));
}

/**
 * Fills in missing durations from stored tracks of the same version.
 * @param {ReadonlyMap<TrackId, Track>} index
 * @param {ReadonlyMap<TrackId, Track>} storedIndex
 * @returns {Map<TrackId, Track>}
 */
export function fillDurations(index, storedIndex) {
  const filledIndex = new Map(index);
  for (const [trackId, track] of index) {
    const storedTrack = storedIndex.get(trackId);
    if (track.duration === undefined && storedTrack?.duration !== undefined && storedTrack.version === track.version) {
      filledIndex.set(trackId, { ...track, duration: storedTrack.duration });
    }
  }
  return filledIndex;
}

/**
 * Returns the new index with the objects of `previousIndex` for all unchanged tracks, or `previousIndex` itself if
 * nothing has changed. Views compare tracks by identity, to avoid rendering ten thousand rows again.
 * @param {ReadonlyMap<TrackId, Track>} previousIndex
 * @param {ReadonlyMap<TrackId, Track>} index
 * @returns {ReadonlyMap<TrackId, Track>}
 */
export function reuseUnchanged(previousIndex, index) {
  let isUnchangedIndex = previousIndex.size === index.size;
  const mergedIndex = new Map(index);
  for (const [trackId, track] of index) {
    const previousTrack = previousIndex.get(trackId);
    if (previousTrack && isEqual(previousTrack, track)) mergedIndex.set(trackId, previousTrack);
    else isUnchangedIndex = false;
  }
  return isUnchangedIndex ? previousIndex : mergedIndex;
}

/** Whether two values of an index have equal fields, where an absent one is `undefined`. @param {any} a @param {any} b @returns {boolean} */
function isEqual(a, b) {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  for (const name in a) if (!isEqual(a[name], b[name])) return false;
  for (const name in b) if (a[name] === undefined && b[name] !== undefined) return false;
  return true;
}

/**
 * The tracks to write to and to delete from the stored copy.
 * @param {ReadonlyMap<TrackId, Track>} index
 * @param {ReadonlyMap<TrackId, Track>} storedIndex
 */
export function changesToStore(index, storedIndex) {
  const put = [...index.values()].filter((track) => !isEqual(storedIndex.get(track.trackId), track));
  // An empty index is more likely an unmounted disk than a deleted library.
  const removed = index.size === 0 ? [] : [...storedIndex.keys()].filter((trackId) => !index.has(trackId));
  return { put, removed };
}

export async function openIndexCache() {
  const transact = createDatabase(DATABASE_NAME, (db) => db.createObjectStore(TRACK_STORE, { keyPath: 'trackId' }));
  /** @type {Promise<Track[]>} */
  const storedTracks = transact('readonly', (store) => store(TRACK_STORE).getAll());
  /** @type {ReadonlyMap<TrackId, Track>} */
  let storedIndex = indexTracks(await withTimeout(READ_TIMEOUT_MS, storedTracks).catch(() => []));

  /** @param {ReadonlyMap<TrackId, Track>} index */
  async function write(index) {
    const { put, removed } = changesToStore(index, storedIndex);
    storedIndex = index.size === 0 ? storedIndex : index;
    if (put.length + removed.length === 0) return;
    await transact('readwrite', (store) => {
      for (const track of put) store(TRACK_STORE).put(track);
      for (const trackId of removed) store(TRACK_STORE).delete(trackId);
    });
  }

  return {
    /** The stored copy of the index. */
    storedIndex: () => storedIndex,
    /** Fills in durations that `index` lacks and the stored copy has. @param {ReadonlyMap<TrackId, Track>} index */
    withKnownDurations: (index) => fillDurations(index, storedIndex),
    /** Replaces the stored copy, unless `index` is empty. @param {ReadonlyMap<TrackId, Track>} index */
    save: (index) => {
      // A failed write loses only what a later page fetches or measures again.
      write(index).catch(() => {});
    },
  };
}
