// Distinguishes a track that cannot be played from a device without an audio output. Without an output, Firefox among
// others reports an error for every file, as if the file were broken. If a valid file of silence fails too, the output
// is missing.

import { after } from '../timer.js';

/** @typedef {import('../types.js').TrackId} TrackId */

/** If the file of silence has neither ended nor failed after this time, the device is assumed to have an output. */
const PROBE_TIMEOUT_MS = 2_000;

/**
 * @param {string} silenceUrl of a short silent WAV file
 * @param {object} on callbacks
 * @param {(trackId: TrackId) => void} on.unplayable
 * @param {() => void} on.outputMissing
 */
export function createOutputProbe(silenceUrl, on) {
  let isOutputMissing = false;
  let isProbing = false;
  let resetCount = 0;

  return {
    isOutputMissing: () => isOutputMissing,

    /**
     * Assumes an output again, even if a running probe finds that the output is missing. To be called before playback is
     * tried again in a gesture.
     */
    reset: () => {
      isOutputMissing = false;
      isProbing = false;
      resetCount += 1;
    },

    /**
     * Finds and reports the cause of a media error.
     * @param {TrackId | null} trackId `null` if a file of silence has failed, so that the output must be missing
     */
    diagnose: async (trackId) => {
      // If the output is missing, the running probe will report that.
      if (isProbing) return;
      isProbing = true;
      const resetCountBefore = resetCount;
      const isTrackUnplayable = trackId !== null && (await canPlay(silenceUrl));
      const wasReset = resetCountBefore !== resetCount;
      if (!wasReset) isProbing = false;
      if (isTrackUnplayable) return on.unplayable(trackId);
      // An output may have been connected since the probe began.
      if (wasReset) return;
      isOutputMissing = true;
      on.outputMissing();
    },
  };
}

/**
 * @param {string} url of a file that every browser can decode
 * @returns {Promise<boolean>}
 */
function canPlay(url) {
  const audio = new Audio(url);
  return new Promise((resolve) => {
    audio.addEventListener('ended', () => resolve(true));
    audio.addEventListener('error', () => resolve(false));
    after(PROBE_TIMEOUT_MS, () => resolve(true));
    // A rejection without a media error comes from the autoplay policy, and does not depend on the output.
    audio.play().catch(() => audio.error === null && resolve(true));
  });
}
