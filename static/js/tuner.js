// What this phone sounds while anybody compares the speakers, and when: ticks on each whole second of the server's
// clock, so on all phones at once; chirps in turn, so that a microphone knows whose it hears. The sounds themselves
// are in player/sounds.js.

import { offsetAt } from './clock.js';
import { ownDelay } from './state.js';
import { every } from './timer.js';

/** @typedef {import('./types.js').MemberId} MemberId */
/** @typedef {import('./types.js').Tuning} Tuning */

/** Whoever forgets to stop them is helped after so long. */
const TICKS_MS = 60_000;

const EVERY_MS = 1_000;
const LOOK_EVERY_MS = 200;

/** The first chirp, and each after the one before: a turn has room for a speaker half a second early or late. */
const FIRST_CHIRP_MS = 500;
export const TURN_MS = 1_200;

/**
 * So far ahead a sound is asked for. For a tick it is also how long a new delay takes to be heard at most; for a
 * chirp there is time to wake a sleeping output.
 */
const AHEAD_MS = { tick: 700, chirp: 1_500 };

/**
 * Who chirps when, on the server's clock: by turns, and as often as patience allows.
 * @param {Pick<Tuning, 'startsAtMs' | 'memberIds'>} tuning
 * @returns {{memberId: MemberId, atMs: number}[]}
 */
export function turns({ startsAtMs, memberIds }) {
  const rounds = memberIds.length <= 4 ? 3 : memberIds.length <= 8 ? 2 : 1;
  return Array.from({ length: rounds }, () => memberIds)
    .flat()
    .map((memberId, i) => ({ memberId, atMs: startsAtMs + FIRST_CHIRP_MS + i * TURN_MS }));
}

/**
 * When this phone is to sound next, on the server's clock, or `null` if it is not.
 * @param {Tuning} tuning
 * @param {MemberId | null} memberId
 * @param {number} serverMs
 */
export function nextSound(tuning, memberId, serverMs) {
  if (tuning.kind === 'chirp') {
    const own = turns(tuning).find((turn) => turn.memberId === memberId && turn.atMs >= serverMs);
    return own ? own.atMs : null;
  }
  if (tuning.kind !== 'tick' || serverMs > tuning.startsAtMs + TICKS_MS) return null;
  const since = Math.ceil((serverMs - tuning.startsAtMs) / EVERY_MS);
  return tuning.startsAtMs + Math.max(0, since) * EVERY_MS;
}

/**
 * @param {object} options
 * @param {import('./store.js').Store} options.store
 * @param {import('./player.js').Player} options.player
 */
export function createTuner({ store, player }) {
  let last = { tuning: /** @type {Tuning | null} */ (null), dueMs: 0 };

  function look() {
    const state = store.get();
    const { tuning, memberId } = state;
    const nowMs = performance.now();
    const offsetMs = offsetAt(state.clock, nowMs);
    if (!tuning || offsetMs === null) return;
    // One that sounds earlier than the others is to be told of earlier.
    const fromMs = nowMs + offsetMs + Math.max(0, ownDelay(state));
    const dueMs = nextSound(tuning, memberId, fromMs);
    if (tuning.kind === 'off' || dueMs === null) return store.update({ tuning: null });
    const sounded = tuning === last.tuning && dueMs <= last.dueMs;
    if (state.settings.remote || sounded || dueMs - fromMs > AHEAD_MS[tuning.kind]) return;
    last = { tuning, dueMs };
    player.sound(tuning.kind, dueMs - offsetMs - ownDelay(state));
  }

  every(LOOK_EVERY_MS, look);
}
