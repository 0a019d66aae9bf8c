// The analysis of recordings by the skew measurement, on synthetic recordings.

import assert from 'node:assert/strict';
import test from 'node:test';
import { RATE, findClicks, findGaps, findPiece, firstSoundSec, skewByWindow, sliceSamples, trackStarts } from '../skew/analysis.mjs';
import { music, pureTone } from '../skew/music.mjs';

const SONG = music(3, 1);
const WHOLE_SOUND = { fromSec: 0, toSec: Infinity };

/** The song delayed by `delayMs`, to a fraction of a sample, and played at `speed`. */
function delayed(song, delayMs, speed = 1) {
  const delaySamples = (delayMs / 1_000) * RATE;
  return song.map((_, i) => interpolate(song, (i - delaySamples) * speed));
}

/** The song's value at a fractional sample index, by windowed-sinc interpolation. */
function interpolate(song, position) {
  const index = Math.floor(position);
  const fraction = position - index;
  if (fraction === 0) return song[index] ?? 0;
  let sum = 0;
  for (let neighbour = index - 15; neighbour <= index + 16; neighbour += 1) {
    const distance = position - neighbour;
    const window = 0.5 + 0.5 * Math.cos((Math.PI * distance) / 16.5);
    sum += ((song[neighbour] ?? 0) * window * Math.sin(Math.PI * distance)) / (Math.PI * distance);
  }
  return sum;
}

/** The song with silence between the two times. */
function silenced(song, fromSec, toSec) {
  return song.map((sample, i) => (i >= fromSec * RATE && i < toSec * RATE ? 0 : sample));
}

const assertNear = (value, expected, within) =>
  assert.ok(value !== null && Math.abs(value - expected) <= within, `${value} is not within ${within} of ${expected}`);

test('the skew between phones is measured to 0.01 ms', () => {
  const delays = [0, 20.127, 1.234];
  const windows = skewByWindow(delays.map((ms) => delayed(SONG, ms)), { fromSec: 0.5, toSec: 1.6 });
  assert.equal(windows.length, 2);
  for (const { pairs, widestMs } of windows) {
    assert.deepEqual(pairs.map(({ a, b }) => [a, b]), [[0, 1], [0, 2], [1, 2]]);
    for (const { a, b, ms } of pairs) assertNear(ms, delays[b] - delays[a], 0.01);
    assertNear(widestMs, 20.127, 0.01);
  }
});

test('a skew of -400 and of 400 ms is measured', () => {
  for (const skewMs of [400, -400]) {
    const shifted = sliceSamples(SONG, (-skewMs / 1_000) * RATE, SONG.length);
    for (const { widestMs, pairs } of skewByWindow([SONG, shifted], { fromSec: 1, toSec: 2.1 })) {
      assertNear(pairs[0].ms, skewMs, 0.01);
      assertNear(widestMs, 400, 0.01);
    }
  }
});

test('the skew of a phone at a corrected playback rate is measured', () => {
  const [window] = skewByWindow([SONG, delayed(SONG, 0, 1.005)], { fromSec: 1, toSec: 1.5 });
  // The faster phone is ahead, so its sound is earlier. The skew is that in the middle of the window.
  assertNear(window.pairs[0].ms, 1_250 * (1 / 1.005 - 1), 0.3);
});

test('other music and silence have no measurable skew', () => {
  for (const other of [music(3, 2), new Float32Array(SONG.length)]) {
    for (const { pairs, widestMs } of skewByWindow([SONG, SONG, other], { fromSec: 1, toSec: 1.5 })) {
      assertNear(pairs[0].ms, 0, 0.001);
      assert.deepEqual([pairs[1].ms, pairs[2].ms, widestMs], [null, null, null]);
    }
  }
});

test('an excerpt is found at the time it is heard', () => {
  const piece = sliceSamples(SONG, 2 * RATE, 0.3 * RATE);
  assertNear(findPiece(delayed(SONG, 10.31), piece, { fromSec: 1.8, toSec: 2.4 }), 2.01031, 1e-5);
  assert.equal(findPiece(SONG, piece, { fromSec: 0, toSec: 0.5 }), null);
});

test('a jump in playback appears as a second start time', () => {
  const steady = trackStarts(delayed(SONG, 500.4), SONG, 1, 0.6);
  assert.equal(steady.length, 4);
  for (const { beginSec } of steady) assertNear(beginSec, 0.5004, 1e-5);
  const jumped = Float32Array.from(SONG, (_, i) => SONG[i < 2 * RATE ? i : i - 480]);
  const begins = trackStarts(jumped, SONG, 0, 0).map(({ beginSec }) => beginSec);
  assertNear(begins[0], 0, 1e-5);
  assertNear(begins.at(-1), 0.01, 1e-5);
});

test('the first sound after silence is found', () => {
  assertNear(firstSoundSec(silenced(SONG, 0, 1.5)), 1.5, 0.0005);
  assertNear(firstSoundSec(silenced(SONG, 1, 1.5), 1.2), 1.5, 0.0005);
  assert.equal(firstSoundSec(new Float32Array(RATE)), null);
});

test('a gap is silence of at least 4 ms between two sounds', () => {
  const sound = silenced(silenced(silenced(SONG, 0, 0.3), 1, 1.02), 2, 2.003);
  const gaps = findGaps(sound, WHOLE_SOUND);
  assert.equal(gaps.length, 1);
  assertNear(gaps[0].atSec, 1, 0.0005);
  assertNear(gaps[0].ms, 20, 0.5);
  assert.equal(findGaps(sound, { fromSec: 1.5, toSec: 3 }).length, 0);
  assert.equal(findGaps(sound, WHOLE_SOUND, 2).length, 2);
  assert.equal(findGaps(SONG, WHOLE_SOUND).length, 0, 'the music itself must have no gaps');
});

test('jumps in a tone are clicks; speed and level changes are not', () => {
  const tone = pureTone(2, 440);
  assert.deepEqual(findClicks(tone, 440, WHOLE_SOUND), []);
  assert.deepEqual(findClicks(delayed(tone, 0, 1.005), 440, { fromSec: 0.1, toSec: 1.9 }), []);
  const faded = tone.map((sample, i) => sample * Math.min(1, Math.max(0, (i - RATE) / 384)));
  assert.deepEqual(findClicks(faded, 440, { fromSec: 1.001, toSec: 2 }), []);
  const jumps = tone.map((_, i) => tone[i < RATE ? i : i - 20]);
  const clicks = findClicks(jumps, 440, WHOLE_SOUND);
  assert.equal(clicks.length, 1);
  assertNear(clicks[0], 1, 0.001);
});
