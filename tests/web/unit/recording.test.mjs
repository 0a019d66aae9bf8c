// The assembly of microphone blocks that arrive late or are lost.

import assert from 'node:assert/strict';
import test from 'node:test';
import { assembleRecording } from '../../../static/js/sound/recording.js';
import { seededRandom } from '../support/seeded-random.mjs';

const SAMPLE_RATE = 48_000;
const QUANTUM_FRAMES = 128;
const STARTED_MS = 7_000;

/**
 * Records ten seconds. Each sample's value encodes its true time. Blocks arrive up to `maxDelayMs` late. Blocks within
 * `stall` arrive at its end, and blocks within a span of `lostSpans` never.
 * @param {{maxDelayMs?: number, stall?: [number, number], lostSpans?: [number, number][]}} faults spans in ms since the start
 */
function record({ maxDelayMs = 5, stall = [0, 0], lostSpans = [] }) {
  const random = seededRandom(4);
  const blocks = [];
  for (let frame = 0; frame < 10 * SAMPLE_RATE; frame += QUANTUM_FRAMES) {
    const heardMs = ((frame + QUANTUM_FRAMES) / SAMPLE_RATE) * 1000;
    if (lostSpans.some(([fromMs, toMs]) => heardMs > fromMs && heardMs <= toMs)) continue;
    const samples = Float32Array.from({ length: QUANTUM_FRAMES }, (_, i) => 1 + (frame + i) / SAMPLE_RATE);
    const arrivedMs = heardMs + (maxDelayMs * (1 + random())) / 2;
    blocks.push({ samples, arrivedAtMs: STARTED_MS + (arrivedMs > stall[0] && arrivedMs < stall[1] ? stall[1] : arrivedMs) });
  }
  return assembleRecording(blocks, SAMPLE_RATE);
}

/** The largest error of the time of a sample, in ms, apart from gaps. */
function maxErrorMs({ samples, startedAtMs }, fromSec = 0, toSec = 9.5) {
  let maxMs = 0;
  for (let i = fromSec * SAMPLE_RATE; i < toSec * SAMPLE_RATE; i += 1) {
    const trueSec = (startedAtMs - STARTED_MS) / 1000 + i / SAMPLE_RATE;
    if (samples[i] !== 0) maxMs = Math.max(maxMs, Math.abs(samples[i] - 1 - trueSec) * 1000);
  }
  return maxMs;
}

test('a recording has the right length and start time', () => {
  const recording = record({});
  assert.equal(recording.samples.length, 10 * SAMPLE_RATE);
  assert.ok(Math.abs(recording.startedAtMs - STARTED_MS) < 0.2, `the recording starts at ${recording.startedAtMs} ms`);
  assert.ok(maxErrorMs(recording) < 0.2);
});

test('blocks that arrive late leave no gap', () => {
  const recording = record({ maxDelayMs: 40, stall: [3_000, 3_900] });
  assert.ok(maxErrorMs(recording) < 1, `${maxErrorMs(recording)} ms`);
  assert.ok(recording.samples.subarray(0, 9.5 * SAMPLE_RATE).every((sample) => sample !== 0));
});

test('lost blocks become silence, and later blocks keep their time', () => {
  const recording = record({ lostSpans: [[2_000, 2_024], [5_000, 5_400], [5_500, 5_512]] });
  assert.ok(maxErrorMs(recording) < 3, `${maxErrorMs(recording)} ms`);
  assert.ok(recording.samples.subarray(5.1 * SAMPLE_RATE, 5.3 * SAMPLE_RATE).every((sample) => sample === 0));
});

test('a recording without blocks is empty', () => {
  assert.equal(assembleRecording([], SAMPLE_RATE).samples.length, 0);
});
