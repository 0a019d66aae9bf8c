// PURE: short sounds, as samples, by which people or a microphone hear how far speakers are apart.

/** Soft, and sharp enough to hear two of them apart: in seconds, and in Hz. */
const TICK_SEC = 0.03;
const TICK_HZ = 1_800;
const TICK_LEVEL = 0.35;

/**
 * Sweeps, which a microphone tells from each other, and from all else in a room, to a fraction of a millisecond:
 * within what the smallest speakers can sound, with soft edges. In seconds, and in Hz.
 */
const CHIRP_SEC = 0.1;
const EDGE_SEC = 0.01;
const FROM_HZ = 1_500;
const TO_HZ = 7_000;
const CHIRP_LEVEL = 0.5;

/**
 * @param {number} sampleRate
 * @returns {Float32Array<ArrayBuffer>}
 */
export function tick(sampleRate) {
  return Float32Array.from({ length: Math.round(TICK_SEC * sampleRate) }, (_, i) => {
    const atSec = i / sampleRate;
    return TICK_LEVEL * Math.sin(2 * Math.PI * TICK_HZ * atSec) * Math.exp(-atSec / 0.005);
  });
}

/**
 * @param {number} sampleRate
 * @returns {Float32Array<ArrayBuffer>}
 */
export function rise(sampleRate) {
  return Float32Array.from({ length: Math.round(CHIRP_SEC * sampleRate) }, (_, i) => {
    const atSec = i / sampleRate;
    const turns = (FROM_HZ + ((TO_HZ - FROM_HZ) * atSec) / (2 * CHIRP_SEC)) * atSec;
    const edge = Math.min(1, atSec / EDGE_SEC, (CHIRP_SEC - atSec) / EDGE_SEC);
    return CHIRP_LEVEL * Math.sin(2 * Math.PI * turns) * Math.sin((Math.PI / 2) * edge) ** 2;
  });
}

/**
 * @param {number} sampleRate
 * @returns {Float32Array<ArrayBuffer>}
 */
export function fall(sampleRate) {
  return rise(sampleRate).reverse();
}

/** @typedef {keyof typeof SOUNDS} Sound */

export const SOUNDS = { tick, rise, fall };
