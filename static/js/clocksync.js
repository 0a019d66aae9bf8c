// Asks the server for its clock, in bursts of one request after the other, and passes on the offset.
// How an offset comes from round trips is in clock.js.

import { getClock } from './api.js';
import { estimate, remember, roundTrip } from './clock.js';
import { after } from './timer.js';

/** @typedef {import('./types.js').ClockEstimate} ClockEstimate */

const FIRST_BURST = 8;
const LATER_BURST = 3;
const EVERY_MS = 15_000;
const TIMEOUT_MS = 4_000;

/**
 * @param {object} options
 * @param {(clock: ClockEstimate) => void} options.onEstimate
 * @param {() => void} options.onSilence the server did not answer
 */
export function createClockSync({ onEstimate, onSilence }) {
  /** @type {import('./clock.js').RoundTrip[]} */
  let kept = [];
  let cancel = () => {};
  let turn = 0;

  /** @param {number} count */
  async function burst(count) {
    cancel();
    const own = ++turn;
    for (let i = 0; i < count; i += 1) {
      const sentMs = performance.now();
      const serverMs = await ask();
      if (own !== turn) return;
      if (serverMs === null) {
        onSilence();
        break;
      }
      kept = remember(kept, roundTrip(sentMs, performance.now(), serverMs));
      const best = estimate(kept);
      if (best) onEstimate(best);
    }
    cancel = after(EVERY_MS, () => burst(LATER_BURST));
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
    /** From anew: at the start, after a reconnection, after the page was hidden. */
    restart: () => burst(FIRST_BURST),
    stop: () => {
      turn += 1;
      cancel();
    },
    /** Drops what is known: this page's clock may have stood still, or the server's may be another. */
    forget: () => (kept = []),
  };
}
