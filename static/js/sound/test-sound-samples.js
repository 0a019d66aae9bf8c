// PURE: generates the short test sounds for comparing speakers, by ear or by microphone.

/** A tick is soft, and short enough that people hear a small delay between two phones. */
const TICK_SEC = 0.03;
const TICK_HZ = 1_800;
const TICK_LEVEL = 0.35;
const TICK_DECAY_SEC = 0.005;

/**
 * A chirp: a frequency sweep, which cross-correlation locates to a fraction of a millisecond. Even the smallest
 * speakers reproduce these frequencies. The chirp is faded in and out.
 */
const CHIRP_SEC = 0.1;
const CHIRP_FADE_SEC = 0.01;
const CHIRP_FROM_HZ = 1_500;
const CHIRP_TO_HZ = 7_000;
const CHIRP_LEVEL = 0.5;

/**
 * @param {number} sampleRate in Hz
 * @returns {Float32Array<ArrayBuffer>}
 */
export function tickSamples(sampleRate) {
  return Float32Array.from({ length: Math.round(TICK_SEC * sampleRate) }, (_, i) => {
    const atSec = i / sampleRate;
    return TICK_LEVEL * Math.sin(2 * Math.PI * TICK_HZ * atSec) * Math.exp(-atSec / TICK_DECAY_SEC);
  });
}

/**
 * @param {number} sampleRate in Hz
 * @returns {Float32Array<ArrayBuffer>}
 */
export function risingChirpSamples(sampleRate) {
  return Float32Array.from({ length: Math.round(CHIRP_SEC * sampleRate) }, (_, i) => {
    const atSec = i / sampleRate;
    const cycles = (CHIRP_FROM_HZ + ((CHIRP_TO_HZ - CHIRP_FROM_HZ) * atSec) / (2 * CHIRP_SEC)) * atSec;
    const fade = Math.min(1, atSec / CHIRP_FADE_SEC, (CHIRP_SEC - atSec) / CHIRP_FADE_SEC);
    return CHIRP_LEVEL * Math.sin(2 * Math.PI * cycles) * Math.sin((Math.PI / 2) * fade) ** 2;
  });
}

/**
 * @param {number} sampleRate in Hz
 * @returns {Float32Array<ArrayBuffer>}
 */
export function fallingChirpSamples(sampleRate) {
  return risingChirpSamples(sampleRate).reverse();
}

/** @typedef {keyof typeof TEST_SOUNDS} TestSound */

export const TEST_SOUNDS = { tick: tickSamples, rise: risingChirpSamples, fall: fallingChirpSamples };
