// PURE: a recording in which phones chirped by turns → how much later than the first of them each is heard. A
// chirp is found by its likeness to what was played, whatever its loudness. What the microphone itself takes is
// the same for all, and drops out.

import { SOUNDS } from './player/sounds.js';
import { SAME_CHIRP_MS } from './tuner.js';

/** @typedef {import('./types.js').MemberId} MemberId */

/** `startedAtMs`: about when it began, on the server's clock. */
/** @typedef {{samples: Float32Array, sampleRate: number, startedAtMs: number}} Recording */

/** A chirp needs no more samples a second than this, and no other pitches than these, in Hz. */
const LEAST_RATE = 14_500;
const LOW_HZ = 1_200;
const HIGH_HZ = 7_300;
const TAPS = 127;

/** A turn is listened to from so long before it was due: a speaker may be early. */
const EARLY_MS = 350;

/** Likeness goes from 0 to 1. What is no chirp seldom reaches this. */
const LEAST_LIKENESS = 0.2;

/** An echo may be louder than what comes straight, but not by more than this. */
const STRAIGHT_SHARE = 0.4;

/** From where a peak rises to its top, in milliseconds. */
const PEAK_MS = 0.5;

/** What is this much quieter than the loudest is silence: likeness to a few stray bits means nothing. */
const SILENCE = 1e-3;

/** Chirps of a phone that agree are within this of what most of them say. */
const AGREED_MS = 3;

/** This share of the rounds wakes the outputs: until they have settled, what is known of them says too little. */
const WAKING_SHARE = 1 / 3;

/** So often what the phones are late by, and what all are late by just then, are told from each other. */
const PASSES = 10;

/**
 * @param {Recording} recording
 * @param {import('./tuner.js').Turn[]} turns in order
 * @returns {Map<MemberId, number | null>} in milliseconds; `null` for those that were not heard
 */
export function lateness({ samples, sampleRate, startedAtMs }, turns) {
  const every = Math.max(1, Math.floor(sampleRate / LEAST_RATE));
  const perMs = sampleRate / every / 1000;
  const heard = thin(samples, sampleRate, every);
  const wanted = {
    rise: thin(SOUNDS.rise(sampleRate), sampleRate, every),
    fall: thin(SOUNDS.fall(sampleRate), sampleRate, every),
  };
  const members = new Set(turns.map(({ memberId }) => memberId)).size;
  const waking = Math.floor((turns.length / members) * WAKING_SHARE) * members;
  const chirps = turns.slice(waking).map(({ memberId, atMs, sound }) => {
    const from = Math.max(0, Math.round((atMs - EARLY_MS - startedAtMs) * perMs));
    const till = from + Math.round(SAME_CHIRP_MS * perMs) + wanted[sound].length;
    const at = arrival(heard.subarray(from, till), wanted[sound], PEAK_MS * perMs);
    return { memberId, lateMs: at === null ? null : (from + at) / perMs + startedAtMs - atMs };
  });
  const agreedOn = agreed(chirps);
  const firstMs = Math.min(...[...agreedOn.values()].map((lateMs) => lateMs ?? Infinity));
  return new Map([...agreedOn].map(([memberId, lateMs]) => [memberId, lateMs === null ? null : lateMs - firstMs]));
}

/**
 * One sample of `every` so many, without what is lower or higher than a chirp.
 * @param {Float32Array} samples
 * @param {number} sampleRate
 * @param {number} every
 */
function thin(samples, sampleRate, every) {
  const half = (TAPS - 1) / 2;
  const low = (/** @type {number} */ hz, /** @type {number} */ t) =>
    t === 0 ? (2 * hz) / sampleRate : Math.sin((2 * Math.PI * hz * t) / sampleRate) / (Math.PI * t);
  const taps = Float64Array.from({ length: TAPS }, (_, i) => {
    const fade = 0.54 + 0.46 * Math.cos((Math.PI * (i - half)) / half);
    return fade * (low(HIGH_HZ, i - half) - low(LOW_HZ, i - half));
  });
  return Float32Array.from({ length: Math.floor(samples.length / every) }, (_, i) => {
    let sum = 0;
    for (let j = 0; j < TAPS; j += 1) sum += (taps[j] ?? 0) * (samples[i * every + j - half] ?? 0);
    return sum;
  });
}

/**
 * Where in a sound the wanted one begins first; `null` if it does not.
 * @param {Float32Array} sound
 * @param {Float32Array} wanted
 * @param {number} peak how many samples there are at most from where it rises to its top
 */
function arrival(sound, wanted, peak) {
  const likeness = likenesses(sound, wanted);
  const most = likeness.reduce((a, b) => Math.max(a, b), 0);
  if (most < LEAST_LIKENESS) return null;
  const strong = Math.max(LEAST_LIKENESS, STRAIGHT_SHARE * most);
  const rise = likeness.findIndex((value) => value >= strong);
  const near = likeness.subarray(rise, rise + Math.ceil(peak));
  return rise + near.indexOf(Math.max(...near));
}

/**
 * How much like the wanted sound it is at each place.
 * @param {Float32Array} sound
 * @param {Float32Array} wanted
 */
function likenesses(sound, wanted) {
  const places = Math.max(0, sound.length - wanted.length);
  const power = new Float64Array(places);
  let sum = 0;
  for (let i = 0; i < sound.length; i += 1) {
    sum += (sound[i] ?? 0) ** 2;
    if (i >= wanted.length) sum -= (sound[i - wanted.length] ?? 0) ** 2;
    if (i >= wanted.length - 1) power[i - wanted.length + 1] = sum;
  }
  const silence = SILENCE * power.reduce((a, b) => Math.max(a, b), 0) + Number.EPSILON;
  const own = wanted.reduce((total, value) => total + value ** 2, 0);
  return power.map((of, at) => {
    let product = 0;
    // Millions of times: here the types are told, not checked.
    for (let i = 0; i < wanted.length; i += 1) {
      product += /** @type {number} */ (sound[at + i]) * /** @type {number} */ (wanted[i]);
    }
    return Math.abs(product) / Math.sqrt(own * (of + silence));
  });
}

/**
 * What most chirps of each phone say, if they do. A machine that does not keep up loses some of what its microphone
 * hears, and all that comes after seems early: by whatever the chirps before and after have in common, no phone is.
 * @param {{memberId: MemberId, lateMs: number | null}[]} chirps by turns
 * @returns {Map<MemberId, number | null>}
 */
function agreed(chirps) {
  const members = new Set(chirps.map(({ memberId }) => memberId));
  const heard = chirps.flatMap(({ memberId, lateMs }, turn) => (lateMs === null ? [] : [{ memberId, lateMs, turn }]));
  /** @type {Map<MemberId, number>} */
  let own = new Map();
  let apart = heard;
  for (let pass = 0; pass < PASSES; pass += 1) {
    own = new Map([...members].map((member) => [member, middle(of(member, apart))]));
    const rest = heard.map(({ memberId, lateMs, turn }) => ({ lateMs: lateMs - (own.get(memberId) ?? 0), turn }));
    apart = heard.map((chirp) => {
      const near = rest.filter(({ turn }) => Math.abs(turn - chirp.turn) <= members.size);
      return { ...chirp, lateMs: chirp.lateMs - middle(near.map(({ lateMs }) => lateMs)) };
    });
  }
  return new Map(
    [...own].map(([member, lateMs]) => {
      const alike = of(member, apart).filter((value) => Math.abs(value - lateMs) <= AGREED_MS);
      const rounds = chirps.filter(({ memberId }) => memberId === member).length;
      return [member, 2 * alike.length > rounds ? lateMs : null];
    }),
  );
}

/** @param {MemberId} member @param {{memberId: MemberId, lateMs: number}[]} chirps */
function of(member, chirps) {
  return chirps.filter(({ memberId }) => memberId === member).map(({ lateMs }) => lateMs);
}

/** @param {readonly number[]} values */
function middle(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return ((sorted[(sorted.length - 1) >> 1] ?? 0) + (sorted[sorted.length >> 1] ?? 0)) / 2;
}
