// The output clock of an AudioContext, the slew of a voice, and encoder padding.

import assert from 'node:assert/strict';
import test from 'node:test';
import { QUANTUM_FRAMES, estimateOutput, trimPadding, positionOnSegments, addSample, planSlew } from '../../../static/js/sound/output-clock.js';

/** Adds samples with these output offsets, 30 ms apart. `sharesRenderOffset`: the render offset equals the output offset. */
function addSamples(offsetsMs, before = [], sharesRenderOffset = true) {
  let [samples, jumps, gaps] = [before, 0, 0];
  for (const outputOffsetMs of offsetsMs) {
    const atMs = (samples.at(-1)?.atMs ?? 0) + 30;
    const added = addSample(samples, { atMs, outputOffsetMs, renderOffsetMs: sharesRenderOffset ? outputOffsetMs : 0 });
    samples = added.samples;
    jumps += added.hasJumped ? 1 : 0;
    gaps += added.hasGap ? 1 : 0;
  }
  return { samples, jumps, gaps };
}

const repeat = (count, outputOffsetMs) => Array.from({ length: count }, () => outputOffsetMs);

test('without samples there is no estimate', () => {
  assert.equal(estimateOutput([]), null);
});

test('the estimate settles at eight samples', () => {
  assert.equal(estimateOutput(addSamples(repeat(7, 20)).samples).isSettled, false);
  assert.equal(estimateOutput(addSamples(repeat(8, 20)).samples).isSettled, true);
});

test('outliers do not change the estimate', () => {
  const { samples, jumps } = addSamples([20, 20.1, 400, 19.9, 20, -300, 20, 20.1]);
  assert.equal(Math.round(estimateOutput(samples).outputOffsetMs), 20);
  assert.equal(jumps, 0);
});

test('the spread is the median absolute deviation', () => {
  assert.equal(estimateOutput(addSamples([10, 30, 10, 30, 20, 20, 10, 30]).samples).spreadMs, 10);
});

test('an offset that jumped is adopted after six samples', () => {
  const before = addSamples(repeat(40, 20)).samples;
  assert.equal(addSamples(repeat(5, 60), before).jumps, 0);
  const after = addSamples(repeat(6, 60), before);
  assert.equal(after.jumps, 1);
  assert.equal(estimateOutput(after.samples).outputOffsetMs, 60);
});

test('a single deviating sample is an outlier but not a jump', () => {
  const before = addSamples(repeat(40, 20)).samples;
  const { isOutlier, hasJumped } = addSample(before, { atMs: 1_230, outputOffsetMs: 90, renderOffsetMs: 90 });
  assert.deepEqual([isOutlier, hasJumped], [true, false]);
});

test('scattered offsets of constant spread are not a jump', () => {
  const scatter = Array.from({ length: 100 }, (_, i) => 20 + 5 * Math.sin(i * 2.1));
  assert.equal(addSamples(scatter).jumps, 0);
});

test('a gap in the sound is distinguished from a timestamp jump', () => {
  assert.equal(addSamples(repeat(6, 60), addSamples(repeat(40, 20)).samples).gaps, 1);
  const before = addSamples(repeat(40, 20), [], false).samples;
  assert.deepEqual([addSamples(repeat(6, 60), before, false).jumps, addSamples(repeat(6, 60), before, false).gaps], [1, 0]);
  assert.equal(addSamples(repeat(6, 5), addSamples(repeat(40, 20)).samples).gaps, 0);
});

test('with rare samples the last eight keep the estimate settled', () => {
  let samples = [];
  for (let atMs = 0; atMs < 20_000; atMs += 1_000) samples = addSample(samples, { atMs, outputOffsetMs: 20, renderOffsetMs: 20 }).samples;
  assert.equal(estimateOutput(samples).isSettled, true);
  assert.ok(samples.length <= 9);
});

test('samples older than three seconds are dropped', () => {
  const { samples } = addSamples(repeat(200, 20));
  assert.ok(samples.length <= 101);
});

test('encoder padding is trimmed unless the decoder has removed it', () => {
  const indexed = { durationSec: 3, padding: { leadSec: 0.025, wholeSec: 3.03 } };
  for (const [description, decodedSec, leadSec, durationSec] of /** @type {[string, number, number, number][]} */ ([
    ['the decoder removed all padding', 3.0003, 0, 3.0003],
    ['the decoder removed nothing', 3.03, 0.025, 3],
    ['the decoder removed its own delay', 3.018, 0.013, 3],
    ['the file is truncated', 2.5, 0, 2.5],
    ['the file is longer than it declares', 3.5, 0, 3.5],
    ['the file is a little longer than it declares', 3.09, 0, 3.09],
    ['the decoder added a frame', 3.07, 0.025, 3],
  ])) {
    const trimmed = trimPadding(decodedSec, indexed);
    assert.ok(Math.abs(trimmed.leadSec - leadSec) < 1e-9 && Math.abs(trimmed.durationSec - durationSec) < 1e-9, description);
  }
  assert.deepEqual(trimPadding(3.03, { durationSec: 3 }), { leadSec: 0, durationSec: 3.03 });
});

test('the position advances at the rate of the segment', () => {
  const segments = [
    { atSec: 10, positionSec: 0, rate: 1 },
    { atSec: 12, positionSec: 2, rate: 1.005 },
    { atSec: 14, positionSec: 4.01, rate: 1 },
  ];
  for (const [atSec, positionSec] of [[9, -1], [11, 1], [13, 3.005], [20, 10.01]]) {
    assert.ok(Math.abs(positionOnSegments(segments, atSec) - positionSec) < 1e-9);
  }
});

for (const byMs of [0.6, -0.6, 1, 7.3, -12, 30, -30]) {
  test(`a slew by ${byMs} ms has whole frames within the rate limit`, () => {
    const { rate, quanta } = planSlew(byMs, 48_000);
    const frames = (rate - 1) * quanta * QUANTUM_FRAMES;
    assert.ok(Math.abs(frames - Math.round(byMs * 48)) < 1e-6, `${frames} frames`);
    assert.ok(Math.abs(rate - 1) <= 0.005 + 1e-12);
    assert.ok(Number.isInteger(quanta));
  });
}
