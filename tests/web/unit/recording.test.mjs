import assert from 'node:assert/strict';
import test from 'node:test';
import { recorded } from '../../../static/js/recording.js';
import { dice } from '../support/dice.mjs';

const RATE = 48_000;
const FRAMES = 128;
const BEGAN_MS = 7_000;

/**
 * Ten seconds as a microphone hears them, of a sound whose samples say when they were heard; pieces come up to `lateMs`
 * late, those in `stood` when the page goes on, and what was heard in `lost` is not there.
 * @param {{lateMs?: number, stood?: [number, number], lost?: [number, number][]}} how in ms since it began
 */
function hear({ lateMs = 5, stood = [0, 0], lost = [] }) {
  const roll = dice(4);
  const pieces = [];
  for (let frame = 0; frame < 10 * RATE; frame += FRAMES) {
    const heardMs = ((frame + FRAMES) / RATE) * 1000;
    if (lost.some(([fromMs, toMs]) => heardMs > fromMs && heardMs <= toMs)) continue;
    const samples = Float32Array.from({ length: FRAMES }, (_, i) => 1 + (frame + i) / RATE);
    const late = heardMs + (lateMs * (1 + roll())) / 2;
    pieces.push({ samples, gotMs: BEGAN_MS + (late > stood[0] && late < stood[1] ? stood[1] : late) });
  }
  return recorded(pieces, RATE);
}

/** By how much, at most, what it has of the moment is of another one, in ms; of what is there. */
function worstMs({ samples, startedMs }, fromSec = 0, toSec = 9.5) {
  let most = 0;
  for (let i = fromSec * RATE; i < toSec * RATE; i += 1) {
    const truthSec = (startedMs - BEGAN_MS) / 1000 + i / RATE;
    if (samples[i] !== 0) most = Math.max(most, Math.abs(samples[i] - 1 - truthSec) * 1000);
  }
  return most;
}

test('a recording is as long as it was listened to, from when it was', () => {
  const whole = hear({});
  assert.equal(whole.samples.length, 10 * RATE);
  assert.ok(Math.abs(whole.startedMs - BEGAN_MS) < 0.2, `${whole.startedMs}`);
  assert.ok(worstMs(whole) < 0.2);
});

test('pieces that come late, however late, leave no hole', () => {
  const whole = hear({ lateMs: 40, stood: [3_000, 3_900] });
  assert.ok(worstMs(whole) < 1, `${worstMs(whole)} ms`);
  assert.ok(whole.samples.subarray(0, 9.5 * RATE).every((sample) => sample !== 0));
});

test('what is lost is silence, and all that comes after is where it was heard', () => {
  const whole = hear({ lost: [[2_000, 2_024], [5_000, 5_400], [5_500, 5_512]] });
  assert.ok(worstMs(whole) < 3, `${worstMs(whole)} ms`);
  assert.ok(whole.samples.subarray(5.1 * RATE, 5.3 * RATE).every((sample) => sample === 0));
});

test('nothing heard is nothing', () => {
  assert.equal(recorded([], RATE).samples.length, 0);
});
