// This phone's stay in the room: pairing, the stream that keeps the room known, the clock, the index.

import { ApiError, getClock, getIndex, getSnapshot, leave, pair, sentenceOf } from './api.js';
import { steady } from './cache/known.js';
import { createClockSync } from './clocksync.js';
import { inTurn } from './in-turn.js';
import { byId, enter, fold, memberName } from './state.js';
import { createStream } from './stream.js';
import { after, sleep } from './timer.js';

/** @typedef {import('./store.js').Store} Store */
/** @typedef {import('./types.js').MemberId} MemberId */
/** @typedef {import('./types.js').Message} Message */
/** @typedef {import('./types.js').TrackId} TrackId */

/** A page that found no server at all asks again after this. */
const RETRY_MS = 2_000;

/**
 * @param {object} options
 * @param {Store} options.store
 * @param {() => {trackId: TrackId, positionSec: number, serverMs: number | null} | null} options.place what
 *   sounds here now, and when that is on the server's clock
 * @param {Promise<import('./cache/known.js').Known>} options.known
 * @param {(text: string) => void} options.say
 */
export function createSession({ store, place, known, say }) {
  const clock = createClockSync({
    onEstimate: (estimate) => store.update({ clock: estimate }),
    onSilence: () => stream.suspect(),
  });

  const stream = createStream({
    query: () => {
      const { settings } = store.get();
      if (settings.remote) return '?role=remote';
      const playing = place();
      if (!playing) return '';
      const { trackId, positionSec, serverMs } = playing;
      const moment = serverMs === null ? '' : `&atMs=${serverMs.toFixed(1)}`;
      return `?trackId=${trackId}&positionSec=${Math.max(0, positionSec).toFixed(4)}${moment}`;
    },
    // A server that comes back may be on a machine that has started anew, and with it its clock: by the old one a
    // track would seem to be over.
    onOpen: () => clock.restart(),
    onMessage: take,
    onLost: async () => {
      clock.stop();
      store.update({ connection: 'reconnecting' });
      try {
        await getClock();
        return true;
      } catch (error) {
        return mayRecover(error);
      }
    },
  });

  /** @param {Message} message */
  function take(message) {
    const { room } = store.get();
    if (!room) return;
    if (message.event === 'client.left' && tellRemoval(room, message)) return;
    const next = fold(room, message, performance.now());
    if (message.event === 'snapshot') {
      store.update({ room: next, connection: 'open', trouble: null });
      refreshIndex();
    } else if (next === null) {
      refreshRoom();
    } else if (next !== room) {
      store.update({ room: next });
    }
    if (message.event === 'tuning') {
      store.update({ tuning: /** @type {import('./types.js').Tuning} */ (/** @type {unknown} */ (message.payload)) });
    }
    if (message.event === 'library.changed') refreshIndex();
    if (message.event === 'library.scanning') {
      const { read, total } = /** @type {import('./types.js').Scan} */ (/** @type {unknown} */ (message.payload));
      store.update({ scanning: read < total ? { read, total } : null });
      // What does not change the queue, as a cover, is told by nothing else.
      if (read === total) refreshIndex();
    }
  }

  /**
   * Says who has removed whom; whether that was this phone, which is out then.
   * @param {import('./types.js').Room} room as it was
   * @param {Message} message
   */
  function tellRemoval(room, { payload, eventCount }) {
    const { memberId: gone, removedBy } = /** @type {{memberId: MemberId, removedBy?: MemberId}} */ (payload);
    // Told twice, or it left by itself.
    if (eventCount <= room.eventCount || removedBy === undefined) return false;
    const by = memberName(room, removedBy);
    const { memberId } = store.get();
    if (gone === memberId) out(`${by} has removed this phone.`);
    else say(removedBy === memberId ? `${memberName(room, gone)} is removed.` : `${by} has removed ${memberName(room, gone)}.`);
    return gone === memberId;
  }

  const refreshRoom = inTurn(async () => {
    try {
      const { snapshot } = await getSnapshot();
      const { room } = store.get();
      // The stream may have been quicker.
      if (room && snapshot.eventCount >= room.eventCount) store.update({ room: enter(snapshot) });
    } catch {
      stream.suspect();
    }
  });

  let cancelIndex = () => {};
  /** Of the index that was last taken. */
  /** @type {string | null} */
  let etag = null;

  const refreshIndex = inTurn(async () => {
    cancelIndex();
    try {
      const [found, { take: learn }] = await Promise.all([getIndex(etag), known]);
      if (!found) return;
      etag = found.etag;
      const index = steady(store.get().index, learn(byId(found.tracks)));
      if (index !== store.get().index) store.update({ index });
    } catch {
      const { tracks } = await known;
      if (store.get().index.size === 0) {
        etag = null;
        store.update({ index: tracks() });
      }
      // Without the index nothing new can be fetched or shown, so it is asked for until it comes.
      if (store.get().view === 'room') cancelIndex = after(RETRY_MS, refreshIndex);
    }
  });

  /** @param {{snapshot: import('./types.js').Snapshot, memberId: string | null}} entry */
  function go({ snapshot, memberId }) {
    store.update({ view: 'room', room: enter(snapshot), memberId, connection: 'connecting', trouble: null });
    refreshIndex();
    stream.open();
  }

  /** By its own wish, which the end of the stream may tell of before the answer does. */
  let leaving = false;

  /**
   * @param {string | null} why if there is more to say than that this phone is not paired
   * @param {'join' | 'moved'} view
   */
  function out(why = null, view = 'join') {
    stream.close();
    clock.stop();
    store.update({ view, room: null, memberId: null, connection: 'connecting', trouble: why, clock: null });
  }

  /**
   * Whether it is worth asking the server again; if not, this phone is at the door.
   * @param {unknown} error
   */
  function mayRecover(error) {
    if (error instanceof ApiError && error.status === 401) {
      // In the room it was paired a while ago.
      out(store.get().view === 'room' && !leaving ? 'This phone is no longer paired.' : null);
      return false;
    }
    // In the room the status line says that the server is away; before it nothing else does.
    const away = store.get().view === 'starting' ? 'The server cannot be reached.' : null;
    store.update({ trouble: error instanceof ApiError ? sentenceOf(error) : away });
    return true;
  }

  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState !== 'visible' || store.get().view !== 'room') return;
    stream.hurry();
    if (store.get().connection === 'open') clock.restart();
  });
  addEventListener('online', () => stream.hurry());

  return {
    /** Into the room, if this phone is paired; else to the door. */
    start: async () => {
      for (;;) {
        try {
          return go(await getSnapshot());
        } catch (error) {
          if (!mayRecover(error)) return;
          await sleep(RETRY_MS);
        }
      }
    },

    /**
     * @param {string} code
     * @param {string} name
     * @returns {Promise<void>}
     */
    join: async (code, name) => go(await pair(code, name)),

    leave: async () => {
      leaving = true;
      try {
        await leave();
        out();
      } finally {
        leaving = false;
      }
    },

    /** This phone goes on in another tab. */
    moved: () => out(null, 'moved'),

    /** After this phone became a remote control, or a listener again. */
    reopen: () => {
      if (store.get().view === 'room') stream.open();
    },

    refreshIndex,

    /**
     * A track has been found to be so long. The index may not know, and then nobody knew.
     * @param {TrackId} trackId
     * @param {number} duration
     */
    learn: async (trackId, duration) => {
      const { take: learn } = await known;
      const { index } = store.get();
      const track = index.get(trackId);
      if (!track || track.duration !== undefined) return;
      store.update({ index: learn(new Map(index).set(trackId, { ...track, duration })) });
    },

    /** The page has slept: what it knew of the server's clock and of its connections is old. */
    woke: () => {
      clock.forget();
      stream.suspect();
      stream.hurry();
    },
  };
}
