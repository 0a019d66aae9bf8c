// Reproducible test music and a pure tone. The music has notes and drums that never repeat, so that each window is unique, over constant
// faint noise, so that silence in a recording is always a gap.

import { RATE } from './analysis.mjs';

/** Amplitude of the noise, well above the silence threshold in analysis.mjs. */
const NOISE_LEVEL = 0.005;

const TONE_LEVEL = 0.25;

/**
 * @param {number} seconds
 * @param {number} seed
 * @returns {Float32Array}
 */
export function music(seconds, seed) {
  const random = seededFraction(seed);
  const track = Float32Array.from({ length: Math.round(seconds * RATE) }, () => NOISE_LEVEL * (2 * random() - 1));
  for (let onset = 0; onset < track.length; onset += (0.1 + 0.2 * random()) * RATE) {
    addNote(track, Math.round(onset), { hz: 90 * 2 ** (3 * random()), seconds: 0.3 + 0.9 * random(), level: 0.05 + 0.06 * random() });
  }
  for (let onset = 0; onset < track.length; onset += (0.06 + 0.3 * random()) * RATE) {
    addDrum(track, Math.round(onset), { seconds: 0.02 + 0.08 * random(), level: 0.08 + 0.17 * random() }, random);
  }
  return track;
}

/**
 * @param {number} seconds
 * @param {number} hz
 */
export function pureTone(seconds, hz) {
  return Float32Array.from({ length: Math.round(seconds * RATE) }, (_, i) => TONE_LEVEL * Math.sin((2 * Math.PI * hz * i) / RATE));
}

/**
 * A WAV file with 16-bit samples and two identical channels.
 * @param {Float32Array} track
 */
export function wav(track) {
  const bytes = track.length * 4;
  const file = Buffer.alloc(44 + bytes);
  file.write('RIFF', 0);
  file.writeUInt32LE(36 + bytes, 4);
  file.write('WAVEfmt ', 8);
  file.writeUInt32LE(16, 16);
  file.writeUInt16LE(1, 20);
  file.writeUInt16LE(2, 22);
  file.writeUInt32LE(RATE, 24);
  file.writeUInt32LE(RATE * 4, 28);
  file.writeUInt16LE(4, 32);
  file.writeUInt16LE(16, 34);
  file.write('data', 36);
  file.writeUInt32LE(bytes, 40);
  track.forEach((sample, i) => {
    const value = Math.max(-32_768, Math.min(32_767, Math.round(sample * 32_768)));
    file.writeInt16LE(value, 44 + 4 * i);
    file.writeInt16LE(value, 46 + 4 * i);
  });
  return file;
}

/**
 * Adds a decaying note with two overtones.
 * @param {Float32Array} track
 * @param {number} firstSample
 * @param {{hz: number, seconds: number, level: number}} shape
 */
function addNote(track, firstSample, { hz, seconds, level }) {
  const end = Math.min(track.length, firstSample + Math.round(seconds * RATE));
  const fade = 0.01 ** (1 / (seconds * RATE));
  for (const [frequencyRatio, levelRatio] of [[1, 1], [2.01, 0.5], [3.02, 0.3]]) {
    // Each sample of a decaying sine follows from the previous two.
    const angle = (2 * Math.PI * hz * /** @type {number} */ (frequencyRatio)) / RATE;
    const coefficient = 2 * fade * Math.cos(angle);
    let [previous, current] = [0, level * /** @type {number} */ (levelRatio) * Math.sin(angle)];
    for (let i = firstSample; i < end; i += 1) {
      track[i] = /** @type {number} */ (track[i]) + current;
      [previous, current] = [current, coefficient * current - fade * fade * previous];
    }
  }
}

/**
 * Adds a decaying burst of noise.
 * @param {Float32Array} track
 * @param {number} firstSample
 * @param {{seconds: number, level: number}} shape
 * @param {() => number} random
 */
function addDrum(track, firstSample, { seconds, level }, random) {
  const end = Math.min(track.length, firstSample + Math.round(seconds * RATE));
  for (let i = firstSample; i < end; i += 1) {
    const envelope = (end - i) / (seconds * RATE);
    track[i] = /** @type {number} */ (track[i]) + level * envelope * envelope * (2 * random() - 1);
  }
}

/** A generator of reproducible random numbers from 0 to 1. @param {number} seed */
function seededFraction(seed) {
  let state = seed | 0;
  return () => {
    // A Weyl sequence step before the xorshift mixing makes every seed usable, also 0.
    state = (state + 0x9e3779b9) | 0;
    let mixed = state ^ (state >>> 16);
    mixed = Math.imul(mixed, 0x45d9f3b);
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x45d9f3b);
    return ((mixed ^ (mixed >>> 16)) >>> 0) / 2 ** 32;
  };
}
