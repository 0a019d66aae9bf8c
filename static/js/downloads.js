// Fetches what cache.js wants, one track at a time, the most urgent first; goes on where it broke;
// puts it on the shelf; and tells the server of it.

import { ApiError, acknowledge, getFile } from './api.js';
import { acksDue, isWhole, urgent, wanted } from './cache.js';
import { PART_BYTES } from './cache/back.js';
import { isQuota } from './cache/shelf.js';
import { after } from './timer.js';

/** @typedef {import('./cache.js').Entry} Entry */
/** @typedef {import('./cache/shelf.js').Shelf} Shelf */
/** @typedef {import('./store.js').Store} Store */
/** @typedef {import('./types.js').Track} Track */
/** @typedef {import('./types.js').TrackId} TrackId */

const RETRY_MS = [500, 1_000, 2_000, 5_000];

/** A connection that brings nothing for so long is taken for dead. */
const IDLE_MS = 8_000;

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
  /** @type {{trackId: TrackId, abort: AbortController} | null} */
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
    const basis = [room.queue, room.queueIndex, room.barrier, index, unplayable, Math.floor(budgetBytes / STEP_BYTES)];
    if (!basis.every((value, i) => value === list.basis[i])) {
      list = { basis, tracks: wanted({ room, index, held, unplayable, budgetBytes }) };
    }
    return list.tracks.find(({ trackId }) => !held.has(trackId)) ?? null;
  }

  async function run() {
    const want = first();
    // Something more urgent has come up; what is there of the other is kept.
    if (active && active.trackId !== want?.trackId) active.abort.abort();
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
    active = { trackId: track.trackId, abort };
    gained = false;
    try {
      await fetchTrack(track, abort.signal);
      failures = 0;
      vainTries = 0;
      store.update({ held: shelf.held() });
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
      await shelf.remove(track.trackId).catch(() => {});
      const { room } = store.get();
      // What nobody needs yet is let be without a word, and there is less room for such from now on.
      if (!room || !urgent(room).includes(track.trackId)) return;
      store.update({ storageNote: FULL });
      return onNoRoom(track.trackId);
    }
    const status = error instanceof ApiError ? error.status : null;
    // While the server is away altogether, no track is worse than another.
    const away = status === null && store.get().connection !== 'open';
    vainTries = gained || away ? 0 : vainTries + 1;
    if (status === 404 || vainTries >= VAIN_TRIES) {
      putAside(track);
      if (status === 404) onOutdated();
      return;
    }
    const waitMs = RETRY_MS[Math.min(failures, RETRY_MS.length - 1)] ?? 0;
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
    let entry = await shelf.begin(track);
    if (signal.aborted) return;
    show(track, entry.receivedBytes);
    const request = new AbortController();
    signal.addEventListener('abort', () => request.abort());
    try {
      const response = await alive(getFile(track, entry.receivedBytes, request.signal), request);
      if (entry.receivedBytes > 0 && response.status !== 206) {
        await shelf.remove(track.trackId);
        entry = await shelf.begin(track);
      }
      entry = await receive(response, track, entry, request);
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
   * @param {AbortController} request
   */
  async function receive(response, track, entry, request) {
    if (!response.body) throw new Error('an answer without a body');
    const reader = response.body.getReader();
    /** @type {Uint8Array<ArrayBuffer>[]} */
    let chunks = [];
    let pending = 0;
    let shownMs = 0;
    const shelve = async () => {
      if (pending === 0) return;
      const part = await new Blob(chunks).arrayBuffer();
      chunks = [];
      pending = 0;
      entry = await shelf.append(entry, part);
    };
    try {
      for (;;) {
        const { done, value } = await alive(reader.read(), request);
        if (done) break;
        if (pending + value.byteLength > PART_BYTES) await shelve();
        gained = true;
        chunks.push(value);
        pending += value.byteLength;
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

/**
 * @template T
 * @param {Promise<T>} answer
 * @param {AbortController} request given up if the answer is too long in coming
 * @returns {Promise<T>}
 */
async function alive(answer, request) {
  const answered = after(IDLE_MS, () => request.abort());
  try {
    return await answer;
  } finally {
    answered();
  }
}

/**
 * Tells the server what this phone holds, or cannot play, of what matters now.
 * @param {Store} store
 */
export function createAcks(store) {
  /** @type {Set<TrackId>} */
  let told = new Set();
  /** @type {string | null} */
  let toldBarrier = null;
  let busy = false;

  async function run() {
    if (busy) return;
    busy = true;
    for (let trackId = due(); trackId; trackId = due()) {
      told.add(trackId);
      if (trackId === store.get().room?.barrier?.trackId) toldBarrier = trackId;
      const of = told;
      try {
        await tell(trackId);
      } catch (error) {
        if (error instanceof ApiError && error.status < 500) continue;
        of.delete(trackId);
        break;
      }
    }
    busy = false;
  }

  /** @returns {TrackId | undefined} */
  function due() {
    const { room, memberId, ready, unplayable, connection, settings } = store.get();
    if (!room || connection !== 'open' || settings.remote) return undefined;
    // What has yet to be decoded would begin after the others.
    const decided = (/** @type {TrackId} */ id) => ready.has(id) || unplayable.has(id);
    return acksDue({ room, memberId, decided, told }).find((id) => id !== toldBarrier || !told.has(id));
  }

  /** @param {TrackId} trackId */
  async function tell(trackId) {
    let eventCount = store.get().room?.eventCount ?? 0;
    for (;;) {
      const playable = !store.get().unplayable.has(trackId);
      const outcome = await acknowledge(trackId, playable, eventCount);
      if (outcome.accepted || !matters(trackId)) return;
      eventCount = outcome.eventCount;
    }
  }

  /** @param {TrackId} trackId */
  function matters(trackId) {
    const { room, memberId, connection } = store.get();
    if (!room || connection !== 'open') return false;
    const none = new Set();
    return acksDue({ room, memberId, decided: () => true, told: none }).includes(trackId);
  }

  store.subscribe((state, before) => {
    // The server forgets what a phone told it when that becomes a remote; and what is told before the
    // server knows that it listens again is lost too.
    const listensAgain =
      (before.settings.remote && !state.settings.remote) || (isRemote(before) && !isRemote(state));
    if (state.connection !== before.connection || listensAgain) told = new Set();
    const [barrier, was] = [state.room?.barrier, before.room?.barrier];
    if (barrier?.trackId !== was?.trackId || barrier?.type !== was?.type) toldBarrier = null;
    if (state.unplayable !== before.unplayable) {
      // What was told of these turned out to be wrong, either way.
      for (const id of [...state.unplayable.keys(), ...before.unplayable.keys()]) {
        if (state.unplayable.has(id) !== before.unplayable.has(id)) told.delete(id);
      }
      toldBarrier = null;
    }
    run();
  });
}

/**
 * Whether the server takes this phone for a remote.
 * @param {import('./types.js').AppState} state
 */
function isRemote({ room, memberId }) {
  return memberId !== null && room?.live.listeners[memberId]?.role === 'remote';
}
