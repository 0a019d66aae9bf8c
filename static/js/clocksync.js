// Asks the server for its clock, in bursts of one request after the other, and passes on the offset.
// How an offset comes from round trips is in clock.js.

import { getClock } from './api.js';
import { estimate, remember, roundTrip } from './clock.js';
import { after } from './timer.js';

/** @typedef {import('./types.js').ClockEstimate} ClockEstimate */

const FIRST_BURST = 12;
const LATER_BURST = 6;

/** Bursts follow each other quickly until the drift is known, too. */
const QUICK_BURSTS = 20;
const QUICK_MS = 2_500;
const EVERY_MS = 10_000;
const TIMEOUT_MS = 4_000;

/**
 * @param {object} options
 * @param {(clock: ClockEstimate) => void} options.onEstimate
 * @param {() => void} options.onSilence the server did not answer
 */
export function createClockSync({ onEstimate, onSilence }) {
  /** @type {import('./clock.js').RoundTrip[]} */
  let kept = [];
  /** Crystals keep their rate, whatever happens to connections and pages. */
  let drift = 0;
  let failures = 0;
  let cancel = () => {};
  let turn = 0;

  /**
   * @param {number} count
   * @param {number} bursts how many have been before it
   * @param {() => void} [heard] called after the first answer, or when there is none
   */
  async function burst(count, bursts, heard = () => {}) {
    cancel();
    const own = ++turn;
    for (let i = 0; i < count; i += 1) {
      const sentMs = performance.now();
      const server = await ask();
      const gotMs = performance.now();
      if (own !== turn) return heard();
      if (server === null) {
        failures += 1;
        // One that is lost says little of a Wi-Fi that saves power.
        if (failures > 1) onSilence();
        break;
      }
      failures = 0;
      kept = remember(kept, roundTrip(sentMs, gotMs, server));
      // The first answers are better than nothing.
      if (bursts === 0 || i === count - 1) tell();
      heard();
    }
    heard();
    // Whoever heard of the silence may have stopped all this.
    if (own !== turn) return;
    const waitMs = failures > 0 || bursts < QUICK_BURSTS ? QUICK_MS : EVERY_MS;
    cancel = after(waitMs, () => burst(LATER_BURST, bursts + 1));
  }

  function tell() {
    const found = estimate(kept, drift);
    if (!found) return;
    drift = found.drift;
    onEstimate(found);
  }

  async function ask() {
    const abort = new AbortController();
    const answered = after(TIMEOUT_MS, () => abort.abort());
    try {
      return await getClock(abort.signal);
    } catch {
      return null;
    } finally {
      answered();
    }
  }

  return {
    /**
     * From anew: at the start, after a reconnection, after the page was hidden. Resolves with the first answer.
     * @returns {Promise<void>}
     */
    restart: () => new Promise((resolve) => void burst(FIRST_BURST, 0, resolve)),
    stop: () => {
      turn += 1;
      cancel();
    },
    /** Drops what is known: this page's clock may have stood still, or the server's may be another. */
    forget: () => (kept = []),
  };
}
