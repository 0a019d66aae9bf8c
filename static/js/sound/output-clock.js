// PURE: relates the time of an AudioContext to the moment at which its output is heard, on this page's clock. The two
// clocks run on different crystals, and their offset jumps whenever the machine stalls the audio thread. A single
// measurement is off by milliseconds; the median of many is not. Also computes the rate changes and positions of voices,
// and finds the music in decoded tracks.

import { contradicts } from '../tracks/durations.js';

/**
 * A decoded track. The music begins `leadSec` into the buffer and lasts `durationSec`; the rest is encoder padding.
 * @typedef {{buffer: AudioBuffer, leadSec: number, durationSec: number}} DecodedTrack
 */

/**
 * One measurement at `atMs` of this page's clock, all in milliseconds. `outputOffsetMs`: this page's clock minus the
 * context time that is being heard. `renderOffsetMs`: this page's clock minus the context time that is being rendered.
 * @typedef {{atMs: number, outputOffsetMs: number, renderOffsetMs: number}} OutputSample
 */

/** Older samples are dropped: at a drift of 100 ppm the offset changes by 0.3 ms in this time. */
const MAX_AGE_MS = 3_000;

/** The age limit of the last `SETTLED_SAMPLES` samples: they are used for longer, because samples may be rare. */
const MAX_AGE_OF_LAST_MS = 15_000;

/**
 * An offset has jumped if the last `JUMP_SAMPLES` samples all differ from the median of the older samples in the same
 * direction, by at least `MIN_JUMP_MS` and by `MIN_JUMP_SPREADS` times the spread of the older samples.
 */
const JUMP_SAMPLES = 6;
const MIN_JUMP_MS = 1.5;
const MIN_JUMP_SPREADS = 3;

/** With fewer samples the offset is not reliable yet. */
const SETTLED_SAMPLES = 8;

/**
 * Adds a sample and drops outdated ones.
 * @param {readonly OutputSample[]} previousSamples
 * @param {OutputSample} newestSample
 * @returns {{samples: OutputSample[], isOutlier: boolean, hasJumped: boolean, hasGap: boolean}} `isOutlier`: the newest
 *   sample differs from the older ones; `hasJumped`: the offset has jumped, so the older samples are dropped; `hasGap`:
 *   the sound itself had a gap, not only the browser's timestamps
 */
export function addSample(previousSamples, newestSample) {
  const isRecentEnough = (/** @type {OutputSample} */ { atMs }, /** @type {number} */ i) =>
    newestSample.atMs - atMs <= (previousSamples.length - i < SETTLED_SAMPLES ? MAX_AGE_OF_LAST_MS : MAX_AGE_MS);
  const samples = [...previousSamples.filter(isRecentEnough), newestSample];
  const recentSamples = samples.slice(-JUMP_SAMPLES);
  const olderSamples = samples.slice(0, -JUMP_SAMPLES);
  if (olderSamples.length < JUMP_SAMPLES) return { samples, isOutlier: false, hasJumped: false, hasGap: false };
  const medianMs = median(olderSamples.map(({ outputOffsetMs }) => outputOffsetMs));
  const spreadMs = median(olderSamples.map(({ outputOffsetMs }) => Math.abs(outputOffsetMs - medianMs)));
  const limitMs = Math.max(MIN_JUMP_MS, MIN_JUMP_SPREADS * spreadMs);
  const isAbove = recentSamples.every(({ outputOffsetMs }) => outputOffsetMs - medianMs > limitMs);
  const isBelow = recentSamples.every(({ outputOffsetMs }) => medianMs - outputOffsetMs > limitMs);
  const isOutlier = Math.abs(newestSample.outputOffsetMs - medianMs) > limitMs;
  if (!isAbove && !isBelow) return { samples, isOutlier, hasJumped: false, hasGap: false };
  const renderOffsetMs = (/** @type {OutputSample} */ sample) => sample.renderOffsetMs;
  const gapMs = median(recentSamples.map(renderOffsetMs)) - median(olderSamples.map(renderOffsetMs));
  return { samples: recentSamples, isOutlier, hasJumped: true, hasGap: isAbove && gapMs > limitMs };
}

/**
 * @param {readonly OutputSample[]} samples
 * @returns {{outputOffsetMs: number, spreadMs: number, isSettled: boolean} | null} medians; `spreadMs` is the median
 *   absolute deviation; `null` without samples
 */
export function estimateOutput(samples) {
  if (samples.length === 0) return null;
  const outputOffsetMs = median(samples.map((sample) => sample.outputOffsetMs));
  const spreadMs = median(samples.map((sample) => Math.abs(sample.outputOffsetMs - outputOffsetMs)));
  return { outputOffsetMs, spreadMs, isSettled: samples.length >= SETTLED_SAMPLES };
}

/** The median time in ms from rendering a sample until it is heard. @param {readonly OutputSample[]} samples at least one */
export function outputLatencyMs(samples) {
  return median(samples.map(({ outputOffsetMs, renderOffsetMs }) => outputOffsetMs - renderOffsetMs));
}

/**
 * A segment of a voice's playback with a constant rate: from the context time `atSec` on, the track is at `positionSec`
 * and advances at `rate`.
 * @typedef {{atSec: number, positionSec: number, rate: number}} RateSegment
 */

/**
 * The position in the track at a context time.
 * @param {readonly RateSegment[]} segments in order, at least one
 * @param {number} atSec
 */
export function positionOnSegments(segments, atSec) {
  const segment = segments.filter((candidate) => candidate.atSec <= atSec).at(-1) ?? segments[0];
  return segment ? segment.positionSec + (atSec - segment.atSec) * segment.rate : 0;
}

/** Durations that differ by less are equal apart from rounding. */
const SAME_DURATION_SEC = 0.002;

/** No decoder adds more silence than this to what an MP3 file declares. */
const MAX_ADDED_SILENCE_SEC = 0.05;

/** The Web Audio API evaluates `playbackRate` once per render quantum of this many frames. */
export const QUANTUM_FRAMES = 128;

/** A larger deviation from the normal rate would be audible as a change of pitch. */
const MAX_RATE_DEVIATION = 0.005;

/** A slew takes this long, unless the maximum rate requires more time. */
const SLEW_SEC = 1.5;

/**
 * The rate that advances a voice by `byMs`, and the number of render quanta for which it applies. Both are chosen so
 * that the voice moves by a whole number of frames: before and after the slew no sample is interpolated.
 * @param {number} byMs
 * @param {number} sampleRate in Hz
 * @returns {{rate: number, quanta: number}}
 */
export function planSlew(byMs, sampleRate) {
  const frames = Math.round((byMs / 1000) * sampleRate);
  const maxFramesPerQuantum = QUANTUM_FRAMES * MAX_RATE_DEVIATION;
  const quanta = Math.max(
    Math.ceil(Math.abs(frames) / maxFramesPerQuantum),
    Math.round((SLEW_SEC * sampleRate) / QUANTUM_FRAMES),
  );
  return { rate: 1 + frames / (quanta * QUANTUM_FRAMES), quanta };
}

/**
 * The start and duration of the music in a decoded buffer. MP3 encoders add silence before and after the music. Some
 * decoders remove all of it; others remove nothing, or only their own decoder delay, always at the beginning. If the file
 * declares a wrong length, it is unknown what the decoder has removed, and the whole buffer counts as music, so that none of
 * it is cut.
 * @param {number} decodedSec length of the buffer
 * @param {{durationSec: number, padding?: import('../types.js').Padding}} indexValues the track's values in the index
 * @returns {{leadSec: number, durationSec: number}}
 */
export function trimPadding(decodedSec, { durationSec, padding }) {
  if (!padding || Math.abs(decodedSec - durationSec) < SAME_DURATION_SEC) return { leadSec: 0, durationSec: decodedSec };
  const isLonger = decodedSec > padding.wholeSec + MAX_ADDED_SILENCE_SEC;
  if (isLonger || contradicts(decodedSec, padding.wholeSec)) return { leadSec: 0, durationSec: decodedSec };
  const removedSec = Math.max(0, padding.wholeSec - decodedSec);
  const leadSec = Math.max(0, padding.leadSec - removedSec);
  return { leadSec, durationSec: Math.min(durationSec, decodedSec - leadSec) };
}

/** @param {readonly number[]} values */
function median(values) {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;
}
