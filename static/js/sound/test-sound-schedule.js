// Plays this phone's test sounds (test-sound-samples.js), by which the speakers of several phones are compared. Ticks
// are for people: all phones tick together every second. Chirps are for a microphone: one phone chirps after the other.

import { offsetAt } from './clock.js';
import { isSilencedHere } from '../room/own-silence.js';
import { ownDelayMs } from '../room/selectors.js';
import { every } from '../timer.js';

/** @typedef {import('../types.js').MemberId} MemberId */
/** @typedef {import('../types.js').TestSoundSchedule} TestSoundSchedule */

/** Ticks stop by themselves after this time. */
const TICKS_TIMEOUT_MS = 60_000;

const TICK_INTERVAL_MS = 1_000;
const POLL_INTERVAL_MS = 200;

/** From the start of the schedule to the first chirp: long enough for suspended outputs to start. */
const FIRST_CHIRP_DELAY_MS = 1_000;
const CHIRP_INTERVAL_MS = 600;

/** Consecutive chirps differ, so that the detector cannot confuse the chirps of neighbouring turns. */
const CHIRP_SOUNDS = /** @type {const} */ (['rise', 'fall']);

/** The interval between two chirps with the same sound. */
export const SAME_CHIRP_INTERVAL_MS = CHIRP_SOUNDS.length * CHIRP_INTERVAL_MS;

/**
 * The total number of chirps, which is divided among the phones, and the limits of the chirps per phone. Each phone
 * chirps several times because output latencies vary by milliseconds.
 */
const TOTAL_CHIRPS = 18;
const MAX_ROUNDS = 8;
const MIN_ROUNDS = 2;

/**
 * How long before its due time a sound is passed to the player. For ticks this is also the longest time until a
 * changed speaker delay is heard; for chirps the lead includes the time to resume a suspended output.
 */
const SCHEDULING_LEAD_MS = { tick: 700, chirp: 1_500 };

/**
 * One chirp of one phone; `atMs` on the server clock.
 * @typedef {{memberId: MemberId, atMs: number, sound: typeof CHIRP_SOUNDS[number]}} ChirpTurn
 */

/**
 * The chirps of a microphone measurement: the phones chirp in turn, in several rounds.
 * @param {Pick<TestSoundSchedule, 'startsAtMs' | 'memberIds'>} schedule
 * @returns {ChirpTurn[]}
 */
export function chirpTurns({ startsAtMs, memberIds }) {
  const roundCount = Math.min(MAX_ROUNDS, Math.max(MIN_ROUNDS, Math.floor(TOTAL_CHIRPS / memberIds.length)));
  return Array.from({ length: roundCount }, () => memberIds)
    .flat()
    .map((memberId, i) => ({
      memberId,
      atMs: startsAtMs + FIRST_CHIRP_DELAY_MS + i * CHIRP_INTERVAL_MS,
      sound: CHIRP_SOUNDS[i % CHIRP_SOUNDS.length] ?? CHIRP_SOUNDS[0],
    }));
}

/**
 * The next test sound of a phone at or after `serverMs`, and its due time, both on the server clock.
 * @param {TestSoundSchedule} schedule
 * @param {MemberId | null} memberId
 * @param {number} serverMs
 * @returns {{sound: import('./test-sound-samples.js').TestSound, atMs: number} | null} `null` after the last one
 */
export function nextTestSound(schedule, memberId, serverMs) {
  if (schedule.kind === 'chirp') return chirpTurns(schedule).find((turn) => turn.memberId === memberId && turn.atMs >= serverMs) ?? null;
  if (schedule.kind !== 'tick' || serverMs > schedule.startsAtMs + TICKS_TIMEOUT_MS) return null;
  const tickNumber = Math.max(0, Math.ceil((serverMs - schedule.startsAtMs) / TICK_INTERVAL_MS));
  return { sound: 'tick', atMs: schedule.startsAtMs + tickNumber * TICK_INTERVAL_MS };
}

/**
 * Plays the test sounds of the schedule in the store until the page is closed.
 * @param {object} options
 * @param {import('../store.js').Store} options.store
 * @param {import('./player.js').Player} options.player
 */
export function startTestSounds({ store, player }) {
  let lastPlayed = { schedule: /** @type {TestSoundSchedule | null} */ (null), dueMs: 0 };

  function playNextSound() {
    const state = store.get();
    const { testSoundSchedule: schedule, memberId } = state;
    const nowMs = performance.now();
    const offsetMs = offsetAt(state.clock, nowMs);
    if (!schedule || offsetMs === null) return;
    // A phone with a late speaker plays its sounds early by its speaker delay.
    const fromServerMs = nowMs + offsetMs + Math.max(0, ownDelayMs(state));
    const nextSound = nextTestSound(schedule, memberId, fromServerMs);
    if (schedule.kind === 'off' || !nextSound) return store.update({ testSoundSchedule: null });
    const dueMs = nextSound.atMs;
    const wasPlayed = schedule === lastPlayed.schedule && dueMs <= lastPlayed.dueMs;
    if (state.settings.isRemoteControl || isSilencedHere(state) || wasPlayed || dueMs - fromServerMs > SCHEDULING_LEAD_MS[schedule.kind]) return;
    lastPlayed = { schedule, dueMs };
    player.playTestSound(nextSound.sound, dueMs - offsetMs - ownDelayMs(state));
  }

  every(POLL_INTERVAL_MS, playNextSound);
}
