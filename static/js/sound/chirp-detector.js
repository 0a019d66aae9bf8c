// PURE: finds the chirps of several phones in a recording, and computes how much later than the earliest phone each
// phone is heard. Chirps are located by normalised cross-correlation, which does not depend on loudness. The delay of
// the microphone itself is the same for all phones and cancels out.

import { TEST_SOUNDS } from './test-sound-samples.js';
import { SAME_CHIRP_INTERVAL_MS } from './test-sound-schedule.js';

/** @typedef {import('../types.js').MemberId} MemberId */

/** `startedAtMs`: approximate start of the recording on the server's clock. */
/** @typedef {{samples: Float32Array, sampleRate: number, startedAtMs: number}} Recording */

/** Recordings are decimated to no less than this rate, after a band-pass filter around the chirp's frequencies. */
const MIN_SAMPLE_RATE_HZ = 14_500;
const LOW_CUTOFF_HZ = 1_200;
const HIGH_CUTOFF_HZ = 7_300;
const FILTER_TAPS = 127;

/** The search for a chirp begins this long before the chirp is due, because a speaker may be early. */
const SEARCH_LEAD_MS = 350;

/** Correlation, from 0 to 1, at which a sound counts as a chirp. Noise and speech rarely reach this value. */
const MIN_CORRELATION = 0.2;

/** An echo may be louder than the direct sound: the first peak of at least this share of the highest peak counts. */
const DIRECT_SOUND_SHARE = 0.4;

/** The longest time in which a correlation peak rises from the threshold to its top. */
const PEAK_RISE_MS = 0.5;

/** This share of the loudest window's energy is added to each window's energy, so that silence does not correlate. */
const SILENCE_SHARE = 1e-3;

/** A chirp agrees with its phone's median lateness if it differs from the median by no more than this. */
const MAX_DEVIATION_MS = 3;

/** Share of the rounds that is discarded at the beginning, while the outputs are still settling. */
const DISCARDED_SHARE = 1 / 3;

/** Iterations that separate each phone's own lateness from the error common to neighbouring chirps. */
const SEPARATION_PASSES = 10;

/**
 * @param {Recording} recording
 * @param {import('./test-sound-schedule.js').ChirpTurn[]} turns in order
 * @returns {Map<MemberId, number | null>} ms later than the earliest phone; `null` for a phone that was not found
 */
export function measureLateness({ samples, sampleRate, startedAtMs }, turns) {
  const decimation = Math.max(1, Math.floor(sampleRate / MIN_SAMPLE_RATE_HZ));
  const samplesPerMs = sampleRate / decimation / 1000;
  const filtered = filterAndDecimate(samples, sampleRate, decimation);
  const references = {
    rise: filterAndDecimate(TEST_SOUNDS.rise(sampleRate), sampleRate, decimation),
    fall: filterAndDecimate(TEST_SOUNDS.fall(sampleRate), sampleRate, decimation),
  };
  const memberCount = new Set(turns.map(({ memberId }) => memberId)).size;
  const discardedCount = Math.floor((turns.length / memberCount) * DISCARDED_SHARE) * memberCount;
  const chirps = turns.slice(discardedCount).map(({ memberId, atMs, sound }) => {
    const fromIndex = Math.max(0, Math.round((atMs - SEARCH_LEAD_MS - startedAtMs) * samplesPerMs));
    const toIndex = fromIndex + Math.round(SAME_CHIRP_INTERVAL_MS * samplesPerMs) + references[sound].length;
    const arrivesAtIndex = arrivalIndex(filtered.subarray(fromIndex, toIndex), references[sound], PEAK_RISE_MS * samplesPerMs);
    return { memberId, lateMs: arrivesAtIndex === null ? null : (fromIndex + arrivesAtIndex) / samplesPerMs + startedAtMs - atMs };
  });
  const lateMsByMember = latenessByMember(chirps);
  const earliestMs = Math.min(...[...lateMsByMember.values()].map((lateMs) => lateMs ?? Infinity));
  return new Map([...lateMsByMember].map(([memberId, lateMs]) => [memberId, lateMs === null ? null : lateMs - earliestMs]));
}

/**
 * Band-pass filters the samples (windowed sinc, Hamming window) and keeps every n-th.
 * @param {Float32Array} samples
 * @param {number} sampleRate
 * @param {number} decimation
 */
function filterAndDecimate(samples, sampleRate, decimation) {
  const half = (FILTER_TAPS - 1) / 2;
  const lowPass = (/** @type {number} */ hz, /** @type {number} */ t) =>
    t === 0 ? (2 * hz) / sampleRate : Math.sin((2 * Math.PI * hz * t) / sampleRate) / (Math.PI * t);
  const taps = Float64Array.from({ length: FILTER_TAPS }, (_, i) => {
    const window = 0.54 + 0.46 * Math.cos((Math.PI * (i - half)) / half);
    return window * (lowPass(HIGH_CUTOFF_HZ, i - half) - lowPass(LOW_CUTOFF_HZ, i - half));
  });
  return Float32Array.from({ length: Math.floor(samples.length / decimation) }, (_, i) => {
    let sum = 0;
    for (let j = 0; j < FILTER_TAPS; j += 1) sum += (taps[j] ?? 0) * (samples[i * decimation + j - half] ?? 0);
    return sum;
  });
}

/**
 * The index at which the reference sound begins in `excerpt`; `null` if `excerpt` does not contain the reference.
 * @param {Float32Array} excerpt of the recording
 * @param {Float32Array} reference
 * @param {number} maxRiseSamples the largest number of samples from the threshold to the top of a correlation peak
 */
function arrivalIndex(excerpt, reference, maxRiseSamples) {
  const correlation = correlate(excerpt, reference);
  const maxCorrelation = correlation.reduce((a, b) => Math.max(a, b), 0);
  if (maxCorrelation < MIN_CORRELATION) return null;
  const threshold = Math.max(MIN_CORRELATION, DIRECT_SOUND_SHARE * maxCorrelation);
  const riseStart = correlation.findIndex((value) => value >= threshold);
  const peak = correlation.subarray(riseStart, riseStart + Math.ceil(maxRiseSamples));
  return riseStart + peak.indexOf(Math.max(...peak));
}

/**
 * The absolute normalised cross-correlation, from 0 to 1, for each index of `excerpt` at which the reference may begin.
 * @param {Float32Array} excerpt
 * @param {Float32Array} reference
 */
function correlate(excerpt, reference) {
  const startCount = Math.max(0, excerpt.length - reference.length);
  const windowEnergies = new Float64Array(startCount);
  let sum = 0;
  for (let i = 0; i < excerpt.length; i += 1) {
    sum += (excerpt[i] ?? 0) ** 2;
    if (i >= reference.length) sum -= (excerpt[i - reference.length] ?? 0) ** 2;
    if (i >= reference.length - 1) windowEnergies[i - reference.length + 1] = sum;
  }
  const silenceEnergy = SILENCE_SHARE * windowEnergies.reduce((a, b) => Math.max(a, b), 0) + Number.EPSILON;
  const referenceEnergy = reference.reduce((total, value) => total + value ** 2, 0);
  return windowEnergies.map((windowEnergy, start) => {
    let dotProduct = 0;
    // The innermost loop runs millions of times: type casts instead of `?? 0` keep it fast.
    for (let i = 0; i < reference.length; i += 1) {
      dotProduct += /** @type {number} */ (excerpt[start + i]) * /** @type {number} */ (reference[i]);
    }
    return Math.abs(dotProduct) / Math.sqrt(referenceEnergy * (windowEnergy + silenceEnergy));
  });
}

/**
 * The lateness on which more than half of a phone's chirps agree; `null` if there is none. An overloaded machine
 * loses parts of the recording, so that all later chirps seem early. Therefore the error that neighbouring chirps of
 * all phones have in common is removed first.
 * @param {{memberId: MemberId, lateMs: number | null}[]} chirps in the order of the turns
 * @returns {Map<MemberId, number | null>}
 */
function latenessByMember(chirps) {
  const memberIds = new Set(chirps.map(({ memberId }) => memberId));
  const foundChirps = chirps.flatMap(({ memberId, lateMs }, turnIndex) => (lateMs === null ? [] : [{ memberId, lateMs, turnIndex }]));
  /** @type {Map<MemberId, number>} */
  let medians = new Map();
  let correctedChirps = foundChirps;
  for (let pass = 0; pass < SEPARATION_PASSES; pass += 1) {
    medians = new Map([...memberIds].map((memberId) => [memberId, median(latenessOf(memberId, correctedChirps))]));
    const residuals = foundChirps.map(({ memberId, lateMs, turnIndex }) => ({ errorMs: lateMs - (medians.get(memberId) ?? 0), turnIndex }));
    correctedChirps = foundChirps.map((chirp) => {
      const neighbours = residuals.filter(({ turnIndex }) => Math.abs(turnIndex - chirp.turnIndex) <= memberIds.size);
      return { ...chirp, lateMs: chirp.lateMs - median(neighbours.map(({ errorMs }) => errorMs)) };
    });
  }
  return new Map(
    [...medians].map(([memberId, lateMs]) => {
      const agreeingValues = latenessOf(memberId, correctedChirps).filter((value) => Math.abs(value - lateMs) <= MAX_DEVIATION_MS);
      const roundCount = chirps.filter((chirp) => chirp.memberId === memberId).length;
      return [memberId, 2 * agreeingValues.length > roundCount ? lateMs : null];
    }),
  );
}

/** @param {MemberId} ownerId @param {{memberId: MemberId, lateMs: number}[]} chirps @returns {number[]} in ms */
function latenessOf(ownerId, chirps) {
  return chirps.filter(({ memberId }) => memberId === ownerId).map(({ lateMs }) => lateMs);
}

/** @param {readonly number[]} values */
function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return ((sorted[(sorted.length - 1) >> 1] ?? 0) + (sorted[sorted.length >> 1] ?? 0)) / 2;
}
