// PURE: assembles the sample blocks of a microphone into one recording on this page's clock. An overloaded machine
// loses blocks; such a gap is filled with silence, so that later sounds stay at the right time.

/**
 * @typedef {object} Block
 * @property {Float32Array} samples
 * @property {number} arrivedAtMs When the block arrived, on this page's clock.
 */

/** A shorter gap cannot be distinguished from a block that arrived late. */
const MIN_GAP_MS = 8;

/**
 * @param {readonly Block[]} blocks in order
 * @param {number} sampleRate in Hz
 * @returns {{samples: Float32Array, sampleRate: number, startedAtMs: number}} `startedAtMs` on the page clock
 */
export function assembleRecording(blocks, sampleRate) {
  const samplesPerMs = sampleRate / 1000;
  let length = 0;
  // The start of the recording computed from each block: late by the block's delivery delay and by the gaps before it.
  const startTimesMs = blocks.map(({ samples, arrivedAtMs }) => {
    length += samples.length;
    return arrivedAtMs - length / samplesPerMs;
  });
  // A delivery delay affects a single block, and a gap affects all later blocks. So the minimum over a block and all
  // later ones depends on the gaps only.
  for (let i = startTimesMs.length - 2; i >= 0; i -= 1) startTimesMs[i] = Math.min(startTimesMs[i] ?? 0, startTimesMs[i + 1] ?? 0);
  const startedAtMs = startTimesMs[0] ?? 0;
  let gapsMs = 0;
  const placedBlocks = blocks.map(({ samples }, i) => {
    const lostMs = (startTimesMs[i] ?? 0) - startedAtMs;
    if (lostMs - gapsMs > MIN_GAP_MS) {
      length += Math.round(lostMs * samplesPerMs) - Math.round(gapsMs * samplesPerMs);
      gapsMs = lostMs;
    }
    return { samples, shiftMs: gapsMs };
  });
  const recording = new Float32Array(length);
  let index = 0;
  for (const { samples, shiftMs } of placedBlocks) {
    recording.set(samples, index + Math.round(shiftMs * samplesPerMs));
    index += samples.length;
  }
  return { samples: recording, sampleRate, startedAtMs };
}
