import assert from 'node:assert/strict';
import test from 'node:test';
import { RATE, apart, clicks, cut, heardAt, holes, onset, runs } from '../skew/listen.mjs';
import { music, pureTone } from '../skew/music.mjs';

const SONG = music(3, 1);
const WHOLE = { fromSec: 0, toSec: Infinity };

/** The song as it sounds when it begins so late, to a fraction of a sample, and runs at that speed. */
function heard(song, lateMs, speed = 1) {
  const late = (lateMs / 1_000) * RATE;
  return song.map((_, i) => between(song, (i - late) * speed));
}

/** What the song is between two samples, by the sinc of the distance. */
function between(song, at) {
  const whole = Math.floor(at);
  const part = at - whole;
  if (part === 0) return song[whole] ?? 0;
  let sum = 0;
  for (let k = whole - 15; k <= whole + 16; k += 1) {
    const away = at - k;
    const window = 0.5 + 0.5 * Math.cos((Math.PI * away) / 16.5);
    sum += ((song[k] ?? 0) * window * Math.sin(Math.PI * away)) / (Math.PI * away);
  }
  return sum;
}

/** The song with silence in it. */
function silenced(song, fromSec, toSec) {
  return song.map((sample, i) => (i >= fromSec * RATE && i < toSec * RATE ? 0 : sample));
}

const isNear = (value, expected, within) =>
  assert.ok(value !== null && Math.abs(value - expected) <= within, `${value} is not within ${within} of ${expected}`);

test('phones are told apart to a hundredth of a millisecond', () => {
  const delays = [0, 20.127, 1.234];
  const looks = apart(delays.map((ms) => heard(SONG, ms)), { fromSec: 0.5, toSec: 1.6 });
  assert.equal(looks.length, 2);
  for (const { pairs, widestMs } of looks) {
    assert.deepEqual(pairs.map(({ a, b }) => [a, b]), [[0, 1], [0, 2], [1, 2]]);
    for (const { a, b, ms } of pairs) isNear(ms, delays[b] - delays[a], 0.01);
    isNear(widestMs, 20.127, 0.01);
  }
});

test('up to 400 ms are found, both ways', () => {
  for (const lateMs of [400, -400]) {
    const late = cut(SONG, (-lateMs / 1_000) * RATE, SONG.length);
    for (const { widestMs, pairs } of apart([SONG, late], { fromSec: 1, toSec: 2.1 })) {
      isNear(pairs[0].ms, lateMs, 0.01);
      isNear(widestMs, 400, 0.01);
    }
  }
});

test('a phone that is corrected at the moment still matches', () => {
  const [look] = apart([SONG, heard(SONG, 0, 1.005)], { fromSec: 1, toSec: 1.5 });
  // A phone that is ahead is heard earlier. The window's middle counts.
  isNear(look.pairs[0].ms, 1_250 * (1 / 1.005 - 1), 0.3);
});

test('other music, and silence, are no match', () => {
  for (const other of [music(3, 2), new Float32Array(SONG.length)]) {
    for (const { pairs, widestMs } of apart([SONG, SONG, other], { fromSec: 1, toSec: 1.5 })) {
      isNear(pairs[0].ms, 0, 0.001);
      assert.deepEqual([pairs[1].ms, pairs[2].ms, widestMs], [null, null, null]);
    }
  }
});

test('a piece is found at the moment at which it is heard', () => {
  const piece = cut(SONG, 2 * RATE, 0.3 * RATE);
  isNear(heardAt(heard(SONG, 10.31), piece, { fromSec: 1.8, toSec: 2.4 }), 2.01031, 1e-5);
  assert.equal(heardAt(SONG, piece, { fromSec: 0, toSec: 0.5 }), null);
});

test('a track that is played on its line, and one that is moved', () => {
  const steady = runs(heard(SONG, 500.4), SONG, 1, 0.6);
  assert.equal(steady.length, 4);
  for (const { beginSec } of steady) isNear(beginSec, 0.5004, 1e-5);
  const moved = Float32Array.from(SONG, (_, i) => SONG[i < 2 * RATE ? i : i - 480]);
  const begins = runs(moved, SONG, 0, 0).map(({ beginSec }) => beginSec);
  isNear(begins[0], 0, 1e-5);
  isNear(begins.at(-1), 0.01, 1e-5);
});

test('the first sound', () => {
  isNear(onset(silenced(SONG, 0, 1.5)), 1.5, 0.0005);
  isNear(onset(silenced(SONG, 1, 1.5), 1.2), 1.5, 0.0005);
  assert.equal(onset(new Float32Array(RATE)), null);
});

test('holes are what is silent for 4 ms and has sound on both sides', () => {
  const sound = silenced(silenced(silenced(SONG, 0, 0.3), 1, 1.02), 2, 2.003);
  const found = holes(sound, WHOLE);
  assert.equal(found.length, 1);
  isNear(found[0].atSec, 1, 0.0005);
  isNear(found[0].ms, 20, 0.5);
  assert.equal(holes(sound, { fromSec: 1.5, toSec: 3 }).length, 0);
  assert.equal(holes(sound, WHOLE, 2).length, 2);
  assert.equal(holes(SONG, WHOLE).length, 0, 'the music has none of its own');
});

test('a click in a tone is a jump in it, not a change of speed or of loudness', () => {
  const tone = pureTone(2, 440);
  assert.deepEqual(clicks(tone, 440, WHOLE), []);
  assert.deepEqual(clicks(heard(tone, 0, 1.005), 440, { fromSec: 0.1, toSec: 1.9 }), []);
  const faded = tone.map((sample, i) => sample * Math.min(1, Math.max(0, (i - RATE) / 384)));
  assert.deepEqual(clicks(faded, 440, { fromSec: 1.001, toSec: 2 }), []);
  const jumps = tone.map((_, i) => tone[i < RATE ? i : i - 20]);
  const found = clicks(jumps, 440, WHOLE);
  assert.equal(found.length, 1);
  isNear(found[0], 1, 0.001);
});
