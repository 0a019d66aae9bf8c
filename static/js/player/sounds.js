// PURE: short sounds, as samples, by which people or a microphone hear how far speakers are apart.

/** Soft, and sharp enough to hear two of them apart: in seconds, and in Hz. */
const TICK_SEC = 0.03;
const TICK_HZ = 1_800;
const TICK_LEVEL = 0.35;

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
