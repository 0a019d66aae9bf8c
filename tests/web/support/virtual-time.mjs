// Virtual time: replaces the clocks and timers, and advances only when a test calls `run`.

import { seededRandom } from './seeded-random.mjs';

/** Each call of `performance.now()` takes this long, so that a busy loop ends. */
const CALL_MS = 0.001;

/** Timers fire late by a random delay up to this one. */
const MAX_TIMER_DELAY_MS = 1;

/** @typedef {ReturnType<typeof virtualTime>} Time */

/** @param {import('node:test').TestContext} t */
export function virtualTime(t) {
  /** @type {Map<number, {atMs: number, callback: () => void}>} */
  const timers = new Map();
  const random = seededRandom(5);
  let nowMs = 60_000;
  let wallMs = 1_800_000_000_000;
  let lastId = 0;

  /** @param {number} ms @param {() => void} callback */
  function addTimer(ms, callback) {
    lastId += 1;
    timers.set(lastId, { atMs: nowMs + Math.max(0, ms), callback });
    return lastId;
  }

  t.mock.method(performance, 'now', () => (nowMs += CALL_MS));
  t.mock.method(Date, 'now', () => wallMs + nowMs);
  t.mock.method(globalThis, 'setTimeout', (callback, ms = 0) => addTimer(ms + (MAX_TIMER_DELAY_MS * (1 + random())) / 2, callback));
  t.mock.method(globalThis, 'clearTimeout', (id) => void timers.delete(id));

  /** Runs all pending promise reactions. */
  const settlePromises = () => new Promise(setImmediate);

  return {
    now: () => nowMs,
    /** Calls `callback` after exactly `ms`, for fake hardware, whose timers are not late. @param {number} ms @param {() => void} callback */
    after: (ms, callback) => void addTimer(ms, callback),
    /** Advances the time by `ms` and runs all timers that are due. @param {number} ms */
    run: async (ms) => {
      const endMs = nowMs + ms;
      await settlePromises();
      for (;;) {
        const [id, due] = [...timers].reduce((first, timer) => (timer[1].atMs < first[1].atMs ? timer : first), [0, { atMs: Infinity, callback: () => {} }]);
        if (due.atMs > endMs) break;
        timers.delete(id);
        nowMs = Math.max(nowMs, due.atMs);
        due.callback();
        await settlePromises();
      }
      nowMs = Math.max(nowMs, endMs);
    },
    /** Simulates a sleeping machine: the wall clock advances, `performance.now()` does not. @param {number} ms */
    sleep: (ms) => void (wallMs += ms),
  };
}
