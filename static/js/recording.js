// PURE: what a microphone heard, piece by piece as it came → one recording that runs as the page's clock does. A
// machine that does not keep up loses some of what is heard; that is a hole in the recording, and not a leap ahead.

/**
 * @typedef {object} Piece
 * @property {Float32Array} samples
 * @property {number} gotMs when it was here, on this page's clock
 */

/** Holes that are shorter cannot be told from pieces that came late. */
const LEAST_HOLE_MS = 8;

/**
 * @param {readonly Piece[]} pieces in order
 * @param {number} sampleRate
 * @returns {{samples: Float32Array, sampleRate: number, startedMs: number}} `startedMs` of this page's clock
 */
export function recorded(pieces, sampleRate) {
  const perMs = sampleRate / 1000;
  let length = 0;
  // When the recording began, by each piece; without what was lost before it.
  const began = pieces.map(({ samples, gotMs }) => {
    length += samples.length;
    return gotMs - length / perMs;
  });
  // Pieces come late, some more, some less, and none before it was heard; and what was lost is never found again. So
  // each piece is as early as any that came after it.
  for (let i = began.length - 2; i >= 0; i -= 1) began[i] = Math.min(began[i] ?? 0, began[i + 1] ?? 0);
  const startedMs = began[0] ?? 0;
  let holesMs = 0;
  const places = pieces.map(({ samples }, i) => {
    const lostMs = (began[i] ?? 0) - startedMs;
    if (lostMs - holesMs > LEAST_HOLE_MS) {
      length += Math.round(lostMs * perMs) - Math.round(holesMs * perMs);
      holesMs = lostMs;
    }
    return { samples, heldMs: holesMs };
  });
  const whole = new Float32Array(length);
  let at = 0;
  for (const { samples, heldMs } of places) {
    whole.set(samples, at + Math.round(heldMs * perMs));
    at += samples.length;
  }
  return { samples: whole, sampleRate, startedMs };
}
