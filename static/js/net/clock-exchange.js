// Measures the server clock in bursts of consecutive requests. The estimate is computed in sound/clock.js.

import { getClock } from './api.js';
import { addRoundTrip, estimateClock, roundTrip } from '../sound/clock.js';
import { after } from '../timer.js';

/** @typedef {import('../types.js').ClockEstimate} ClockEstimate */

const FIRST_BURST_REQUESTS = 12;
const LATER_BURST_REQUESTS = 6;

/** The first bursts follow each other at the short interval, so that the drift can soon be estimated. */
const FREQUENT_BURSTS = 20;
const SHORT_INTERVAL_MS = 2_500;
const LONG_INTERVAL_MS = 10_000;
const RESPONSE_TIMEOUT_MS = 4_000;

/**
 * @param {object} options
 * @param {(clock: ClockEstimate) => void} options.onEstimate
 * @param {() => void} options.onNoResponse called after the second and each further request in a row without a response
 */
export function createClockExchange({ onEstimate, onNoResponse }) {
  /** @type {import('../sound/clock.js').RoundTrip[]} */
  let roundTrips = [];
  /**
   * The last estimated drift. Remains valid when the round trips are dropped, because the drift depends only on the
   * oscillators of the two clocks.
   */
  let drift = 0;
  let consecutiveFailures = 0;
  let cancelNextBurst = () => {};
  /** Increases with each burst and with `stop`, which both end an earlier burst. */
  let generation = 0;

  /**
   * @param {number} requestCount
   * @param {number} previousBursts number of bursts since the last `restart`
   * @param {() => void} [onResponse] called after each response, and at the end of the burst even without one
   */
  async function runBurst(requestCount, previousBursts, onResponse = () => {}) {
    cancelNextBurst();
    const ownGeneration = ++generation;
    for (let i = 0; i < requestCount; i += 1) {
      const requestAtMs = performance.now();
      const serverTimes = await requestClock();
      const responseAtMs = performance.now();
      if (ownGeneration !== generation) return onResponse();
      if (serverTimes === null) {
        consecutiveFailures += 1;
        // A single lost request is common on Wi-Fi with power saving.
        if (consecutiveFailures > 1) onNoResponse();
        break;
      }
      consecutiveFailures = 0;
      roundTrips = addRoundTrip(roundTrips, roundTrip(requestAtMs, responseAtMs, serverTimes));
      // In the first burst, each response is used at once: a rough estimate is better than none.
      if (previousBursts === 0 || i === requestCount - 1) publishEstimate();
      onResponse();
    }
    onResponse();
    // `onNoResponse` may have stopped the exchange.
    if (ownGeneration !== generation) return;
    const isFrequent = consecutiveFailures > 0 || previousBursts < FREQUENT_BURSTS;
    const intervalMs = isFrequent ? SHORT_INTERVAL_MS : LONG_INTERVAL_MS;
    cancelNextBurst = after(intervalMs, () => runBurst(LATER_BURST_REQUESTS, previousBursts + 1));
  }

  function publishEstimate() {
    const clock = estimateClock(roundTrips, drift);
    if (!clock) return;
    drift = clock.drift;
    onEstimate(clock);
  }

  /** Resolves to the response of `GET /clock`, or to `null` if the request failed or timed out. */
  async function requestClock() {
    const abort = new AbortController();
    const cancelTimeout = after(RESPONSE_TIMEOUT_MS, () => abort.abort());
    try {
      return await getClock(abort.signal);
    } catch {
      return null;
    } finally {
      cancelTimeout();
    }
  }

  return {
    /**
     * Starts with a long burst. To be called after the start of the page, a reconnection, or a time in the background.
     * @returns {Promise<void>} resolves after the first response, or when the burst ends without one
     */
    restart: () => new Promise((resolve) => void runBurst(FIRST_BURST_REQUESTS, 0, resolve)),
    stop: () => {
      generation += 1;
      cancelNextBurst();
    },
    /** To be called when the page's clock may have stopped for a while or the server may have been restarted. */
    dropRoundTrips: () => (roundTrips = []),
  };
}
