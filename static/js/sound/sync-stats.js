// Sync statistics of this phone: recent sync errors, corrections and latency, for the status line, the sync figures
// in the settings, and the report to the server.

/** The plot of the sync figures shows the samples of this time. */
export const PLOT_DURATION_MS = 120_000;

/** Minimum interval between two samples of the plot. */
const PLOT_INTERVAL_MS = 1_000;

/** A sample that follows the previous one sooner than this is ignored. */
const MIN_SAMPLE_INTERVAL_MS = 100;

/** The shown and reported sync error is the median of this many samples. */
const MEDIAN_SAMPLES = 9;

/**
 * `syncErrorMs`: the sync error at `atMs` of the page clock.
 * @typedef {{atMs: number, syncErrorMs: number}} SyncSample
 */

/** @typedef {ReturnType<typeof createSyncStats>} SyncStats */

export function createSyncStats() {
  /** @type {number[]} */
  let recentSyncErrorsMs = [];
  /** @type {SyncSample[]} */
  let plotSamples = [];
  let latencyMs = 0;
  let lastSampleAtMs = -Infinity;
  const corrections = { slews: 0, cuts: 0 };

  return {
    /**
     * @param {number} atMs
     * @param {number | null} syncErrorMs the sync error; `null` if this phone is silent, or if its position has not
     *   settled
     * @param {number} startLatencyMs the player's `latencyMs` (PlayerReport)
     */
    record: (atMs, syncErrorMs, startLatencyMs) => {
      latencyMs = startLatencyMs;
      if (syncErrorMs === null) {
        recentSyncErrorsMs = [];
        return;
      }
      if (atMs - lastSampleAtMs < MIN_SAMPLE_INTERVAL_MS) return;
      lastSampleAtMs = atMs;
      recentSyncErrorsMs = [...recentSyncErrorsMs.slice(1 - MEDIAN_SAMPLES), syncErrorMs];
      plotSamples = plotSamples.filter((sample) => atMs - sample.atMs < PLOT_DURATION_MS);
      const lastSample = plotSamples.at(-1);
      if (!lastSample || atMs - lastSample.atMs >= PLOT_INTERVAL_MS) plotSamples.push({ atMs, syncErrorMs });
    },

    /** @param {'slews' | 'cuts'} kind */
    countCorrection: (kind) => {
      corrections[kind] += 1;
      // The errors measured before a cut do not apply after it.
      if (kind === 'cuts') recentSyncErrorsMs = [];
    },

    /** The median of the last sync errors in ms; `null` while there are too few measurements. */
    syncErrorMs: () => {
      const median = [...recentSyncErrorsMs].sort((a, b) => a - b)[recentSyncErrorsMs.length >> 1];
      return recentSyncErrorsMs.length < MEDIAN_SAMPLES || median === undefined ? null : median;
    },

    summary: () => ({ plotSamples, latencyMs, ...corrections }),
  };
}
