// Tells the server what this phone holds, or cannot play, of what matters now: others wait for that.

import { ApiError, acknowledge } from './api.js';
import { acksDue } from './cache.js';
import { after } from './timer.js';

/** @typedef {import('./store.js').Store} Store */
/** @typedef {import('./types.js').TrackId} TrackId */

/** What did not reach the server is told again after this. */
const RETRY_MS = 1_000;

/** @param {Store} store */
export function createAcks(store) {
  /** @type {Set<TrackId>} */
  let told = new Set();
  /** @type {string | null} */
  let toldBarrier = null;
  let busy = false;
  let cancel = () => {};

  async function run() {
    if (busy) return;
    cancel();
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
        cancel = after(RETRY_MS, run);
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
