// What is known of tracks beyond their bytes, kept in IndexedDB: rows of the index with their tags, and the
// durations that only playing has told. A page that finds no index, or one that lacks a duration, has it
// from here. Where nothing can be kept it is known as long as the page lives.

import { within } from '../timer.js';
import { createDatabase } from './idb.js';

/** @typedef {import('../types.js').Track} Track */
/** @typedef {import('../types.js').TrackId} TrackId */
/** @typedef {Awaited<ReturnType<typeof openKnown>>} Known */

const NAME = 'lockstep-known';
const TRACKS = 'tracks';

/** Whoever waits for what was known waits no longer than this. */
const READ_MS = 3_000;

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

const TAGS = /** @type {const} */ (['title', 'artist', 'album', 'trackNumber', 'year']);

/**
 * The index with every track that is still the same taken from `before`, or `before` itself if all are: what
 * was made of them, ten thousand maybe, need not be made again.
 * @param {ReadonlyMap<TrackId, Track>} before
 * @param {ReadonlyMap<TrackId, Track>} index
 * @returns {ReadonlyMap<TrackId, Track>}
 */
export function steady(before, index) {
  let same = before.size === index.size;
  const merged = new Map(index);
  for (const [trackId, track] of index) {
    const old = before.get(trackId);
    if (old && alike(old, track)) merged.set(trackId, old);
    else same = false;
  }
  return same ? before : merged;
}

/**
 * @param {Track} a
 * @param {Track} b
 */
function alike(a, b) {
  return (
    a.version === b.version &&
    a.duration === b.duration &&
    a.coverUrl === b.coverUrl &&
    TAGS.every((name) => a.tags[name] === b.tags[name])
  );
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
  const transact = createDatabase(NAME, (created) => created.createObjectStore(TRACKS, { keyPath: 'trackId' }));
  /** @type {Promise<Track[]>} */
  const reading = transact('readonly', (store) => store(TRACKS).getAll());
  const rows = await within(READ_MS, reading).catch(() => []);
  /** @type {ReadonlyMap<TrackId, Track>} */
  let known = new Map(rows.map((track) => [track.trackId, track]));

  /** @param {ReadonlyMap<TrackId, Track>} index */
  async function write(index) {
    const { put, gone } = changes(index, known);
    known = index.size === 0 ? known : index;
    if (put.length + gone.length === 0) return;
    await transact('readwrite', (store) => {
      for (const track of put) store(TRACKS).put(track);
      for (const trackId of gone) store(TRACKS).delete(trackId);
    });
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
