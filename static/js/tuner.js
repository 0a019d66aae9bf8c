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

/** The first chirp, by when outputs have woken, and each after the one before. */
const FIRST_CHIRP_MS = 1_000;
const TURN_MS = 600;

/** Chirps in a row differ, so that there is room for a speaker half a second early or late before one is heard again. */
const CHIRPS = /** @type {const} */ (['rise', 'fall']);
export const SAME_CHIRP_MS = CHIRPS.length * TURN_MS;

/**
 * Each phone chirps as often as patience allows: outputs wander by milliseconds, and only what most of the chirps
 * agree on is the phone's own delay.
 */
const TURNS = 18;
const MOST_ROUNDS = 8;
const LEAST_ROUNDS = 2;

/**
 * So far ahead a sound is asked for. For a tick it is also how long a new delay takes to be heard at most; for a
 * chirp there is time to wake a sleeping output.
 */
const AHEAD_MS = { tick: 700, chirp: 1_500 };

/** @typedef {{memberId: MemberId, atMs: number, sound: typeof CHIRPS[number]}} Turn */

/**
 * Who chirps when, on the server's clock, and how.
 * @param {Pick<Tuning, 'startsAtMs' | 'memberIds'>} tuning
 * @returns {Turn[]}
 */
export function turns({ startsAtMs, memberIds }) {
  const rounds = Math.min(MOST_ROUNDS, Math.max(LEAST_ROUNDS, Math.floor(TURNS / memberIds.length)));
  return Array.from({ length: rounds }, () => memberIds)
    .flat()
    .map((memberId, i) => ({
      memberId,
      atMs: startsAtMs + FIRST_CHIRP_MS + i * TURN_MS,
      sound: CHIRPS[i % CHIRPS.length] ?? CHIRPS[0],
    }));
}

/**
 * What this phone is to sound next, and when on the server's clock, or `null` if it is not.
 * @param {Tuning} tuning
 * @param {MemberId | null} memberId
 * @param {number} serverMs
 * @returns {{sound: import('./player/sounds.js').Sound, atMs: number} | null}
 */
export function nextSound(tuning, memberId, serverMs) {
  if (tuning.kind === 'chirp') return turns(tuning).find((turn) => turn.memberId === memberId && turn.atMs >= serverMs) ?? null;
  if (tuning.kind !== 'tick' || serverMs > tuning.startsAtMs + TICKS_MS) return null;
  const since = Math.ceil((serverMs - tuning.startsAtMs) / EVERY_MS);
  return { sound: 'tick', atMs: tuning.startsAtMs + Math.max(0, since) * EVERY_MS };
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
    const next = nextSound(tuning, memberId, fromMs);
    if (tuning.kind === 'off' || !next) return store.update({ tuning: null });
    const dueMs = next.atMs;
    const sounded = tuning === last.tuning && dueMs <= last.dueMs;
    if (state.settings.remote || sounded || dueMs - fromMs > AHEAD_MS[tuning.kind]) return;
    last = { tuning, dueMs };
    player.sound(next.sound, dueMs - offsetMs - ownDelay(state));
  }

  every(LOOK_EVERY_MS, look);
}
