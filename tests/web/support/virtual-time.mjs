// Time that passes when a test says so: the clocks and the timers of a page, in place of the real ones.

import { dice } from './dice.mjs';

/** Each look at a clock takes that long, so that who waits for a moment by looking gets there. */
const LOOK_MS = 0.001;

/** Timers come late by up to so much. */
const LATE_MS = 1;

/** @typedef {ReturnType<typeof virtualTime>} Time */

/** @param {import('node:test').TestContext} t */
export function virtualTime(t) {
  /** @type {Map<number, {atMs: number, then: () => void}>} */
  const timers = new Map();
  const roll = dice(5);
  let nowMs = 60_000;
  let wallMs = 1_800_000_000_000;
  let lastId = 0;

  /** @param {number} ms @param {() => void} then */
  function wait(ms, then) {
    lastId += 1;
    timers.set(lastId, { atMs: nowMs + Math.max(0, ms), then });
    return lastId;
  }

  t.mock.method(performance, 'now', () => (nowMs += LOOK_MS));
  t.mock.method(Date, 'now', () => wallMs + nowMs);
  t.mock.method(globalThis, 'setTimeout', (then, ms = 0) => wait(ms + (LATE_MS * (1 + roll())) / 2, then));
  t.mock.method(globalThis, 'clearTimeout', (id) => void timers.delete(id));

  /** Lets all promises come to what they can come to by now. */
  const breathe = () => new Promise(setImmediate);

  return {
    now: () => nowMs,
    /** After so long by the machine itself, to the point. @param {number} ms @param {() => void} then */
    in: (ms, then) => void wait(ms, then),
    /** Lets so much time pass. @param {number} ms */
    run: async (ms) => {
      const endMs = nowMs + ms;
      await breathe();
      for (;;) {
        const due = [...timers].reduce((first, one) => (one[1].atMs < first[1].atMs ? one : first), [0, { atMs: Infinity, then: () => {} }]);
        if (due[1].atMs > endMs) break;
        timers.delete(due[0]);
        nowMs = Math.max(nowMs, due[1].atMs);
        due[1].then();
        await breathe();
      }
      nowMs = Math.max(nowMs, endMs);
    },
    /** The machine sleeps for so long: the clock on the wall goes on, the page's own does not. @param {number} ms */
    sleep: (ms) => void (wallMs += ms),
  };
}
