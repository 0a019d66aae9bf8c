// Fetches what cache.js wants, one track at a time, the most urgent first; goes on where it broke;
// puts it on the shelf; and tells the server of it.

import { ApiError, alive, getFile } from './api.js';
import { isWhole, urgent, wanted } from './cache.js';
import { PART_BYTES } from './cache/back.js';
import { isQuota } from './cache/shelf.js';
import { after } from './timer.js';

/** @typedef {import('./cache.js').Entry} Entry */
/** @typedef {import('./cache/shelf.js').Shelf} Shelf */
/** @typedef {import('./store.js').Store} Store */
/** @typedef {import('./types.js').Track} Track */
/** @typedef {import('./types.js').TrackId} TrackId */

const RETRY_MS = [500, 1_000, 2_000, 5_000];

/** So many tries in a row that bring nothing, and other tracks come first for a while. */
const VAIN_TRIES = 3;
const ASIDE_MS = 30_000;

/** What a browser says of its room changes with each byte; by less than this it does not count. */
const STEP_BYTES = 10e6;

/** Progress is shown so often at most. */
const SHOW_EVERY_MS = 200;

const FULL = 'This phone’s storage is full: music that does not fit is silent here.';

/**
 * @param {object} options
 * @param {Store} options.store
 * @param {Shelf} options.shelf
 * @param {() => void} options.onOutdated the server has another version than the index says
 * @param {(trackId: TrackId) => void} options.onNoRoom
 * @param {(trackIds: ReadonlySet<TrackId>) => void} options.onAside what cannot be fetched just now, and
 *   is not to be asked for
 */
export function createDownloads({ store, shelf, onOutdated, onNoRoom, onAside }) {
  /** @type {{version: string, abort: AbortController} | null} */
  let active = null;
  let running = false;
  let failures = 0;
  let vainTries = 0;
  /** Whether the try under way has brought anything. */
  let gained = false;
  /** What is wanted, in order, and what that was worked out from: ten thousand tracks are not gone through for each. */
  let list = { basis: /** @type {unknown[]} */ ([]), tracks: /** @type {Track[]} */ ([]) };
  /** Versions of tracks that cannot be fetched just now; they would block all others. */
  /** @type {Set<string>} */
  const aside = new Set();

  /** @returns {Track | null} */
  function first() {
    const { view, room, index, held, unplayable, settings } = store.get();
    if (view !== 'room' || !room || settings.remote) return null;
    const budgetBytes = shelf.roomBytes();
    const step = Math.floor(budgetBytes / STEP_BYTES);
    const basis = [room.queue, room.queueIndex, room.barrier, index, held, unplayable, step];
    if (!basis.every((value, i) => value === list.basis[i])) {
      list = { basis, tracks: wanted({ room, index, held, unplayable, budgetBytes }) };
    }
    return list.tracks.find(({ trackId }) => !held.has(trackId)) ?? null;
  }

  async function run() {
    const want = first();
    // Something more urgent has come up, or the file is another now; what is there of the old one is kept.
    if (active && (!want || active.version !== versionOf(want))) active.abort.abort();
    if (running) return;
    running = true;
    try {
      for (let track = first(); track; track = first()) await attempt(track);
    } finally {
      running = false;
    }
  }

  /** @param {Track} track */
  async function attempt(track) {
    const abort = new AbortController();
    active = { version: versionOf(track), abort };
    gained = false;
    try {
      await fetchTrack(track, abort.signal);
      failures = 0;
      vainTries = 0;
      store.update({ held: shelf.held(store.get().index) });
    } catch (error) {
      if (!abort.signal.aborted) await recover(error, track, abort.signal);
    } finally {
      active = null;
      store.update({ download: null });
    }
  }

  /**
   * @param {unknown} error
   * @param {Track} track
   * @param {AbortSignal} signal
   */
  async function recover(error, track, signal) {
    if (isQuota(error)) {
      await shelf.remove(track.trackId);
      const { room } = store.get();
      // What nobody needs yet is let be without a word, and there is less room for such from now on.
      if (!room || !urgent(room).includes(track.trackId)) return;
      store.update({ storageNote: FULL });
      return onNoRoom(track.trackId);
    }
    const status = error instanceof ApiError ? error.status : null;
    // While the server is away altogether, no track is worse than another.
    const away = status === null && store.get().connection !== 'open';
    // Nor while it says itself when it can be asked again.
    const retryMs = error instanceof ApiError ? error.retryAfterSec * 1_000 : 0;
    vainTries = gained || away || retryMs > 0 ? 0 : vainTries + 1;
    if (status === 404 || vainTries >= VAIN_TRIES) {
      putAside(track);
      if (status === 404) onOutdated();
      return;
    }
    const waitMs = Math.max(RETRY_MS[Math.min(failures, RETRY_MS.length - 1)] ?? 0, retryMs);
    failures += 1;
    await new Promise((resolve) => {
      const cancel = after(waitMs, () => resolve(null));
      signal.addEventListener('abort', () => {
        cancel();
        resolve(null);
      });
    });
  }

  /** @param {Track} track */
  function putAside(track) {
    const version = versionOf(track);
    failures = 0;
    vainTries = 0;
    aside.add(version);
    tellAside();
    after(ASIDE_MS, () => {
      if (aside.delete(version)) tellAside();
    });
  }

  function tellAside() {
    const tracks = [...store.get().index.values()].filter((track) => aside.has(versionOf(track)));
    onAside(new Set(tracks.map(({ trackId }) => trackId)));
  }

  /**
   * @param {Track} track
   * @param {AbortSignal} signal
   */
  async function fetchTrack(track, signal) {
    let { entry, tail } = await shelf.begin(track);
    if (signal.aborted) return;
    const from = entry.receivedBytes + tail.size;
    show(track, from);
    const request = new AbortController();
    signal.addEventListener('abort', () => request.abort());
    try {
      const response = await alive(getFile(track, from, request.signal), request);
      if (from > 0 && response.status !== 206) {
        await shelf.remove(track.trackId);
        ({ entry, tail } = await shelf.begin(track));
      }
      entry = await receive(response, track, entry, tail, request);
    } finally {
      // A body that nobody reads any more would hold its connection.
      request.abort();
    }
    if (!isWhole(entry)) {
      if (entry.receivedBytes > entry.size) await shelf.remove(track.trackId);
      throw new Error(`${entry.receivedBytes} of ${entry.size} bytes`);
    }
  }

  /**
   * Shelves the body in parts. What came before a break is kept, so that it need not come twice.
   * @param {Response} response
   * @param {Track} track
   * @param {Entry} entry
   * @param {Blob} tail what is there of the next part
   * @param {AbortController} request
   */
  async function receive(response, track, entry, tail, request) {
    if (!response.body) throw new Error('an answer without a body');
    const reader = response.body.getReader();
    /** @type {BlobPart[]} */
    let chunks = [tail];
    let pending = tail.size;
    let shownMs = 0;
    const shelve = async () => {
      if (pending === 0) return;
      const part = await new Blob(chunks).arrayBuffer();
      chunks = [];
      pending = 0;
      entry = await shelf.append(entry, part);
    };
    /** @param {Uint8Array<ArrayBuffer>} bytes */
    const take = async (bytes) => {
      for (let at = 0; at < bytes.byteLength; ) {
        const some = bytes.subarray(at, at + PART_BYTES - pending);
        chunks.push(some);
        pending += some.byteLength;
        at += some.byteLength;
        if (pending === PART_BYTES) await shelve();
      }
    };
    if (pending === PART_BYTES) await shelve();
    try {
      for (;;) {
        const { done, value } = await alive(reader.read(), request);
        if (done) break;
        gained = true;
        await take(value);
        if (performance.now() - shownMs > SHOW_EVERY_MS) {
          shownMs = performance.now();
          show(track, entry.receivedBytes + pending);
        }
      }
    } finally {
      await shelve();
    }
    return entry;
  }

  /**
   * @param {Track} track
   * @param {number} receivedBytes
   */
  function show({ trackId, size }, receivedBytes) {
    store.update({ download: { trackId, receivedBytes, size } });
  }

  store.subscribe((state, before) => {
    const same =
      state.view === before.view &&
      state.room?.queue === before.room?.queue &&
      state.room?.queueIndex === before.room?.queueIndex &&
      state.room?.barrier === before.room?.barrier &&
      state.index === before.index &&
      state.held === before.held &&
      state.unplayable === before.unplayable &&
      state.settings === before.settings;
    // The server may be another one now, or have its music again.
    const anew = state.connection === 'open' && before.connection !== 'open';
    if (aside.size > 0 && (anew || state.index !== before.index)) {
      if (anew) aside.clear();
      tellAside();
    }
    if (!same) run();
  });
}

/** @param {Track} track */
function versionOf({ trackId, version }) {
  return `${trackId}@${version}`;
}
