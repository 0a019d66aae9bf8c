// Music for measuring, the same at every run: chords and drums that never repeat, over a faint noise that never
// stops, so that any silence in a recording is a hole, and any moment in it is like no other. And a pure tone.

import { RATE } from './listen.mjs';

/** Well above what listen.mjs calls silence, and hardly heard. */
const FLOOR = 0.005;

const TONE_LEVEL = 0.25;

/**
 * @param {number} seconds
 * @param {number} seed
 * @returns {Float32Array}
 */
export function music(seconds, seed) {
  const chance = dice(seed);
  const track = Float32Array.from({ length: Math.round(seconds * RATE) }, () => FLOOR * (2 * chance() - 1));
  for (let at = 0; at < track.length; at += (0.1 + 0.2 * chance()) * RATE) {
    note(track, Math.round(at), { hz: 90 * 2 ** (3 * chance()), seconds: 0.3 + 0.9 * chance(), level: 0.05 + 0.06 * chance() });
  }
  for (let at = 0; at < track.length; at += (0.06 + 0.3 * chance()) * RATE) {
    drum(track, Math.round(at), { seconds: 0.02 + 0.08 * chance(), level: 0.08 + 0.17 * chance() }, chance);
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
 * A WAV file, 16 bits, both channels alike.
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
    const level = Math.max(-32_768, Math.min(32_767, Math.round(sample * 32_768)));
    file.writeInt16LE(level, 44 + 4 * i);
    file.writeInt16LE(level, 46 + 4 * i);
  });
  return file;
}

/**
 * Adds a decaying note with two overtones.
 * @param {Float32Array} track
 * @param {number} at
 * @param {{hz: number, seconds: number, level: number}} shape
 */
function note(track, at, { hz, seconds, level }) {
  const end = Math.min(track.length, at + Math.round(seconds * RATE));
  const fade = 0.01 ** (1 / (seconds * RATE));
  for (const [times, share] of [[1, 1], [2.01, 0.5], [3.02, 0.3]]) {
    // Each sample of a sine that decays follows from the two before.
    const angle = (2 * Math.PI * hz * /** @type {number} */ (times)) / RATE;
    const turn = 2 * fade * Math.cos(angle);
    let [before, now] = [0, level * /** @type {number} */ (share) * Math.sin(angle)];
    for (let i = at; i < end; i += 1) {
      track[i] = /** @type {number} */ (track[i]) + now;
      [before, now] = [now, turn * now - fade * fade * before];
    }
  }
}

/**
 * Adds a burst of noise that dies away.
 * @param {Float32Array} track
 * @param {number} at
 * @param {{seconds: number, level: number}} shape
 * @param {() => number} chance
 */
function drum(track, at, { seconds, level }, chance) {
  const end = Math.min(track.length, at + Math.round(seconds * RATE));
  for (let i = at; i < end; i += 1) {
    const left = (end - i) / (seconds * RATE);
    track[i] = /** @type {number} */ (track[i]) + level * left * left * (2 * chance() - 1);
  }
}

/** Numbers from 0 to 1 that are the same at every run. @param {number} seed */
function dice(seed) {
  let state = seed | 0;
  return () => {
    // xorshift, behind a step of a Weyl sequence, so that no seed is a bad one.
    state = (state + 0x9e3779b9) | 0;
    let mixed = state ^ (state >>> 16);
    mixed = Math.imul(mixed, 0x45d9f3b);
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x45d9f3b);
    return ((mixed ^ (mixed >>> 16)) >>> 0) / 2 ** 32;
  };
}
