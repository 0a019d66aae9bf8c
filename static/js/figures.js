// How well this phone has been in step lately, and what was done about it: for its status line and its sheet of
// figures, and for the server. Nothing here decides anything.

/** Looks are remembered for so long. */
const REMEMBER_MS = 120_000;

/** One of them in so long, at least, is kept for the plot. */
const PLOT_EVERY_MS = 1_000;

/** Looks that come sooner after each other are one. */
const GAP_MS = 100;

/** What is shown and told is the median of so many looks. */
const MEDIAN_LOOKS = 9;

/** @typedef {{atMs: number, offMs: number}} Look */

/** @typedef {ReturnType<typeof createFigures>} Figures */

export function createFigures() {
  /** @type {number[]} */
  let recent = [];
  /** @type {Look[]} */
  let plot = [];
  let latencyMs = 0;
  let lookedMs = -Infinity;
  const corrections = { slews: 0, cuts: 0 };

  return {
    /**
     * @param {number} atMs
     * @param {number | null} offMs how far ahead of the room this phone sounds; `null` if it does not, or not yet so
     *   that it could be said
     * @param {number} latency from the call to the sound, in ms
     */
    look: (atMs, offMs, latency) => {
      latencyMs = latency;
      if (offMs === null) {
        recent = [];
        return;
      }
      if (atMs - lookedMs < GAP_MS) return;
      lookedMs = atMs;
      recent = [...recent.slice(1 - MEDIAN_LOOKS), offMs];
      plot = plot.filter((look) => atMs - look.atMs < REMEMBER_MS);
      const last = plot.at(-1);
      if (!last || atMs - last.atMs >= PLOT_EVERY_MS) plot.push({ atMs, offMs });
    },

    /** @param {'slews' | 'cuts'} how */
    corrected: (how) => {
      corrections[how] += 1;
      // After a cut it is somewhere else.
      if (how === 'cuts') recent = [];
    },

    /** The median of the last looks, in ms; `null` while there are too few. */
    offMs: () => {
      const middle = recent.toSorted((a, b) => a - b)[recent.length >> 1];
      return recent.length < MEDIAN_LOOKS || middle === undefined ? null : middle;
    },

    all: () => ({ plot, latencyMs, ...corrections }),
  };
}
