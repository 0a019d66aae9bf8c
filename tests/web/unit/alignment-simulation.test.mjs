// Simulates the control loop that keeps a phone in sync: the page's real alignment and output clock, and a model of an
// AudioContext whose clock drifts, stands still when the machine stalls, and is measured with noise.

import assert from 'node:assert/strict';
import test from 'node:test';
import { INITIAL_STATE, decide, syncErrorMs } from '../../../static/js/sound/align.js';
import { QUANTUM_FRAMES, estimateOutput, positionOnSegments, addSample, planSlew } from '../../../static/js/sound/output-clock.js';
import { seededRandom } from '../support/seeded-random.mjs';

const SAMPLE_RATE = 48_000;
const STEP_INTERVAL_MS = 250;
const SAMPLE_INTERVAL_MS = 50;
const GOAL_KEY = 'a track';

/**
 * Plays a track and returns the true sync error over time.
 * @param {object} model
 * @param {number} model.durationSec of the simulation
 * @param {number} [model.ppm] rate error of the context's clock in parts per million
 * @param {number} [model.noiseMs] the largest error of an output sample
 * @param {{atMs: number, durationMs: number}[]} [model.stalls] during which the context's clock stands still
 * @param {number} [model.startErrorMs] the sync error at the start
 */
function simulatePlayback({ durationSec, ppm = 0, noiseMs = 0.1, stalls = [], startErrorMs = 0 }) {
  const random = seededRandom(11);
  // The context time of the sound that is audible at a time of the page's clock.
  const audibleContextSec = (/** @type {number} */ nowMs) => {
    const stalledMs = stalls.reduce((sum, { atMs, durationMs }) => sum + Math.min(durationMs, Math.max(0, nowMs - atMs)), 0);
    return ((nowMs - stalledMs) * (1 + ppm / 1e6) + 7_000) / 1000;
  };
  const goal = { kind: 'play', trackId: 't', key: GOAL_KEY, isPredicted: false, positionSec: 0, atMs: 0 };
  let segments = [{ atSec: audibleContextSec(0), positionSec: startErrorMs / 1000, rate: 1 }];
  let [alignState, samples, glitchEndMs, slewEndSec] = [{ ...INITIAL_STATE, goalKey: GOAL_KEY }, [], -1, 0];
  const errors = [];
  const corrections = { slews: 0, cuts: 0, maxRateDeviation: 0 };
  for (let nowMs = -2_000; nowMs < durationSec * 1000; nowMs += SAMPLE_INTERVAL_MS) {
    const renderOffsetMs = nowMs - audibleContextSec(nowMs) * 1000;
    const added = addSample(samples, { atMs: nowMs, outputOffsetMs: renderOffsetMs + noiseMs * random(), renderOffsetMs });
    samples = added.samples;
    if (added.hasGap) glitchEndMs = nowMs + 2_000;
    if (nowMs < 0) continue;
    const truePositionSec = positionOnSegments(segments, audibleContextSec(nowMs));
    errors.push({ nowMs, errorMs: syncErrorMs(goal, { positionSec: truePositionSec, atMs: nowMs }) });
    if (nowMs % STEP_INTERVAL_MS !== 0) continue;
    const { outputOffsetMs, spreadMs, isSettled } = estimateOutput(samples);
    const nowSec = (nowMs - outputOffsetMs) / 1000;
    const report = {
      trackId: 't',
      phase: 'playing',
      isExact: true,
      isSettled,
      isSlewing: nowSec < slewEndSec,
      hasGlitched: nowMs < glitchEndMs,
      spreadMs,
      positionSec: positionOnSegments(segments, nowSec),
      atMs: nowMs,
      plan: null,
      latencyMs: 50,
      leadMs: 50,
      trackChangeLatencyMs: 50,
    };
    const { plan, state } = decide(goal, report, alignState, nowMs);
    alignState = state;
    if (plan?.kind === 'slew') {
      const { rate, quanta } = planSlew(plan.byMs, SAMPLE_RATE);
      const slewDurationSec = (quanta * QUANTUM_FRAMES) / SAMPLE_RATE;
      const fromSec = nowSec + 0.06;
      const positionSec = positionOnSegments(segments, fromSec);
      segments = [...segments, { atSec: fromSec, positionSec, rate }, { atSec: fromSec + slewDurationSec, positionSec: positionSec + slewDurationSec * rate, rate: 1 }];
      slewEndSec = fromSec + slewDurationSec;
      corrections.slews += 1;
      corrections.maxRateDeviation = Math.max(corrections.maxRateDeviation, Math.abs(rate - 1));
    } else if (plan?.kind === 'start') {
      segments = [{ atSec: (plan.atMs - outputOffsetMs) / 1000, positionSec: plan.positionSec, rate: 1 }];
      corrections.cuts += 1;
    }
  }
  return { errors, ...corrections };
}

const maxErrorMs = (errors, fromMs, toMs = Infinity) =>
  Math.max(...errors.filter(({ nowMs }) => nowMs >= fromMs && nowMs < toMs).map(({ errorMs }) => Math.abs(errorMs)));

for (const ppm of [-100, -80, 0, 80, 100]) {
  test(`a clock ${ppm} ppm off stays in sync without cuts`, (t) => {
    const { errors, cuts, slews, maxRateDeviation } = simulatePlayback({ durationSec: 600, ppm });
    t.diagnostic(`error at most ${maxErrorMs(errors, 0).toFixed(2)} ms, ${slews} slews, rate changed by at most ${(maxRateDeviation * 100).toFixed(3)} %`);
    assert.ok(maxErrorMs(errors, 0) < 1);
    assert.equal(cuts, 0);
    assert.ok(maxRateDeviation <= 0.005);
    assert.ok(ppm !== 0 || slews === 0);
  });
}

for (const durationMs of [7, 20, 45, 82, 200]) {
  test(`a ${durationMs}-ms stall is corrected to 5 ms within 3.2 s`, (t) => {
    const { errors, cuts } = simulatePlayback({ durationSec: 20, ppm: 50, stalls: [{ atMs: 5_010, durationMs }] });
    t.diagnostic(`${cuts} cuts; after 3 s at most ${maxErrorMs(errors, 8_010).toFixed(2)} ms off`);
    assert.ok(maxErrorMs(errors, 8_210) < 5);
    assert.ok(maxErrorMs(errors, 12_000) < 1);
    assert.ok(cuts <= 1);
  });
}

test('start errors up to 25 ms are corrected without a cut', () => {
  for (const startErrorMs of [-25, -4, 3, 25]) {
    const { errors, cuts } = simulatePlayback({ durationSec: 20, startErrorMs });
    assert.equal(cuts, 0);
    assert.ok(maxErrorMs(errors, 9_000) < 1);
  }
});

test('a start error of 180 ms is corrected by one cut', () => {
  const { errors, cuts } = simulatePlayback({ durationSec: 10, startErrorMs: 180 });
  assert.equal(cuts, 1);
  assert.ok(maxErrorMs(errors, 1_000) < 1);
});

test('timestamp noise of 8 ms causes no cuts and few slews', () => {
  const { errors, cuts, slews } = simulatePlayback({ durationSec: 120, noiseMs: 8 });
  assert.equal(cuts, 0);
  assert.ok(slews < 15, `${slews} slews`);
  assert.ok(maxErrorMs(errors, 0) < 5);
});

test('each of several stalls is corrected within 3.2 s', () => {
  const stalls = Array.from({ length: 6 }, (_, stallIndex) => ({ atMs: 5_000 + stallIndex * 6_000, durationMs: 40 + stallIndex * 10 }));
  const { errors } = simulatePlayback({ durationSec: 45, ppm: -60, stalls });
  for (const { atMs } of stalls) assert.ok(maxErrorMs(errors, atMs + 3_200, atMs + 6_000) < 5);
});
