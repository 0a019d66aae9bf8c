// PURE: which moment of an AudioContext's sound is heard at which moment of this page's clock. Both run on
// crystals of their own, and the difference, the lag, jumps whenever the machine does not keep up with the
// sound. A single look at it is off by milliseconds; the median of many is not.

/**
 * A track as it was decoded, and where in that the music is: so long after the beginning, and so long.
 * @typedef {{buffer: AudioBuffer, leadSec: number, durationSec: number}} Decoded
 */

/**
 * One look: what is heard then on the context's clock is so much less than this page's clock, and what is rendered
 * by then is so much less. All in milliseconds.
 * @typedef {{atMs: number, lagMs: number, clockMs: number}} Sighting
 */

/** Longer ago says too little: 100 ppm are 0.3 ms by then. Where looks are rare, the last ones count for longer. */
const REMEMBER_MS = 3_000;
const REMEMBER_FEW_MS = 15_000;

/** So many in a row that all lie to one side of the older ones tell of a jump, */
const JUMP_LOOKS = 6;

/** if they do so by this much, and by so many times what the older ones differ by. */
const JUMP_MS = 1.5;
const JUMP_SPREADS = 3;

/** With fewer sightings the lag is a guess. */
const SETTLED_LOOKS = 8;

/**
 * @param {readonly Sighting[]} kept
 * @param {Sighting} newest
 * @returns {{sightings: Sighting[], odd: boolean, jumped: boolean, fell: boolean}} the sightings worth keeping;
 *   whether the newest is unlike the others; whether enough are to show that the lag is another by now; and whether
 *   that is because the sound itself fell behind, and not only what is told of it
 */
export function sight(kept, newest) {
  const isKept = (/** @type {Sighting} */ { atMs }, /** @type {number} */ i) =>
    newest.atMs - atMs <= (kept.length - i < SETTLED_LOOKS ? REMEMBER_FEW_MS : REMEMBER_MS);
  const sightings = [...kept.filter(isKept), newest];
  const recent = sightings.slice(-JUMP_LOOKS);
  const older = sightings.slice(0, -JUMP_LOOKS);
  if (older.length < JUMP_LOOKS) return { sightings, odd: false, jumped: false, fell: false };
  const usual = middle(older.map(({ lagMs }) => lagMs));
  const spread = middle(older.map(({ lagMs }) => Math.abs(lagMs - usual)));
  const limitMs = Math.max(JUMP_MS, JUMP_SPREADS * spread);
  const above = recent.every(({ lagMs }) => lagMs - usual > limitMs);
  const below = recent.every(({ lagMs }) => usual - lagMs > limitMs);
  const odd = Math.abs(newest.lagMs - usual) > limitMs;
  if (!above && !below) return { sightings, odd, jumped: false, fell: false };
  const behindMs = middle(recent.map(({ clockMs }) => clockMs)) - middle(older.map(({ clockMs }) => clockMs));
  return { sightings: recent, odd, jumped: true, fell: above && behindMs > limitMs };
}

/**
 * @param {readonly Sighting[]} sightings
 * @returns {{lagMs: number, spreadMs: number, settled: boolean} | null} `null` while nothing has been seen;
 *   half of the sightings are off by less than the spread
 */
export function lag(sightings) {
  if (sightings.length === 0) return null;
  const lagMs = middle(sightings.map((seen) => seen.lagMs));
  const spreadMs = middle(sightings.map((seen) => Math.abs(seen.lagMs - lagMs)));
  return { lagMs, spreadMs, settled: sightings.length >= SETTLED_LOOKS };
}

/**
 * A stretch of a voice's way through its track: from `atSec` on the context's clock it is at `positionSec`
 * and moves at `rate`.
 * @typedef {{atSec: number, positionSec: number, rate: number}} Stretch
 */

/**
 * @param {readonly Stretch[]} way at least one stretch, in order
 * @param {number} atSec
 */
export function positionOn(way, atSec) {
  const on = way.findLast((stretch) => stretch.atSec <= atSec) ?? way[0];
  return on ? on.positionSec + (atSec - on.atSec) * on.rate : 0;
}

/** Lengths that differ by less are the same, by different roundings. */
const SAME_SEC = 0.002;

/** The rate of a sound is looked at anew once for each block of so many frames. */
export const BLOCK_FRAMES = 128;

/** Faster or slower than this is heard as another pitch. */
const MOST_RATE = 0.005;

/** What there is to be gained or lost is spread over this, if the rate allows it. */
const SLEW_SEC = 1.5;

/**
 * How a voice gains or loses so much: a rate for a whole number of blocks, by which it moves a whole number of
 * frames. So before and after, it plays the samples of the track as they are, with nothing in between.
 * @param {number} byMs to be gained
 * @param {number} sampleRate
 * @returns {{rate: number, blocks: number}}
 */
export function slew(byMs, sampleRate) {
  const frames = Math.round((byMs / 1000) * sampleRate);
  const most = BLOCK_FRAMES * MOST_RATE;
  const blocks = Math.max(
    Math.ceil(Math.abs(frames) / most),
    Math.round((SLEW_SEC * sampleRate) / BLOCK_FRAMES),
  );
  return { rate: 1 + frames / (blocks * BLOCK_FRAMES), blocks };
}

/**
 * Where the music is in what was decoded. Encoders of MP3 put some silence before and behind it. Some decoders leave
 * out all of that; others nothing, or only what a decoder itself is late by, always at the beginning.
 * @param {number} decodedSec
 * @param {{durationSec: number, padding?: import('../types.js').Padding}} told by the index
 */
export function musicIn(decodedSec, { durationSec, padding }) {
  if (!padding || Math.abs(decodedSec - durationSec) < SAME_SEC) return { leadSec: 0, durationSec: decodedSec };
  const cutSec = Math.max(0, padding.wholeSec - decodedSec);
  const leadSec = Math.max(0, padding.leadSec - cutSec);
  return { leadSec, durationSec: Math.min(durationSec, decodedSec - leadSec) };
}

/** @param {readonly number[]} values */
function middle(values) {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}
