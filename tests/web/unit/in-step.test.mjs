// The loop that keeps a phone in step, against a model of a browser's sound: a context whose clock runs at its
// own rate, stands still when the machine stalls, and is told of with noise. Everything but the model is the
// page's own code.

import assert from 'node:assert/strict';
import test from 'node:test';
import { FRESH, decide, offMs } from '../../../static/js/align.js';
import { BLOCK_FRAMES, lag, positionOn, sight, slew } from '../../../static/js/player/output.js';
import { dice } from '../support/dice.mjs';

const RATE = 48_000;
const LOOK_MS = 250;
const SIGHT_MS = 50;
const KEY = 'a track';

/**
 * Plays a track for so long and tells, look by look, how far off it was in truth.
 * @param {object} model
 * @param {number} model.seconds
 * @param {number} [model.ppm] by which the context's crystal is fast
 * @param {number} [model.noiseMs] of what is told of the output
 * @param {{atMs: number, forMs: number}[]} [model.stalls] in which the context's clock stands still
 * @param {number} [model.startOffMs] by which the start was missed
 */
function play({ seconds, ppm = 0, noiseMs = 0.1, stalls = [], startOffMs = 0 }) {
  const roll = dice(11);
  // Which moment of the context is heard at a moment of the page's clock.
  const heardSec = (/** @type {number} */ nowMs) => {
    const stood = stalls.reduce((sum, { atMs, forMs }) => sum + Math.min(forMs, Math.max(0, nowMs - atMs)), 0);
    return ((nowMs - stood) * (1 + ppm / 1e6) + 7_000) / 1000;
  };
  const line = { positionSec: 0, atMs: 0 };
  const goal = { kind: 'play', trackId: 't', key: KEY, confirmed: false, ...line };
  let way = [{ atSec: heardSec(0), positionSec: startOffMs / 1000, rate: 1 }];
  let [memory, sightings, shakenUntilMs, slewUntilSec] = [{ ...FRESH, key: KEY }, [], -1, 0];
  const offs = [];
  const corrections = { slews: 0, cuts: 0, mostRate: 0 };
  for (let nowMs = -2_000; nowMs < seconds * 1000; nowMs += SIGHT_MS) {
    const clockMs = nowMs - heardSec(nowMs) * 1000;
    const seen = sight(sightings, { atMs: nowMs, lagMs: clockMs + noiseMs * roll(), clockMs });
    sightings = seen.sightings;
    if (seen.fell) shakenUntilMs = nowMs + 2_000;
    if (nowMs < 0) continue;
    const inTruth = positionOn(way, heardSec(nowMs));
    offs.push({ nowMs, offMs: offMs(goal, { positionSec: inTruth, atMs: nowMs }) });
    if (nowMs % LOOK_MS !== 0) continue;
    const { lagMs, spreadMs, settled } = lag(sightings);
    const nowSec = (nowMs - lagMs) / 1000;
    const report = {
      trackId: 't',
      phase: 'playing',
      exact: true,
      settled,
      slewing: nowSec < slewUntilSec,
      shaken: nowMs < shakenUntilMs,
      spreadMs,
      positionSec: positionOn(way, nowSec),
      atMs: nowMs,
      plan: null,
      latencyMs: 50,
      leadMs: 50,
      changeMs: 50,
    };
    const { plan, memory: next } = decide(goal, report, memory, nowMs);
    memory = next;
    if (plan?.kind === 'slew') {
      const { rate, blocks } = slew(plan.byMs, RATE);
      const lastSec = (blocks * BLOCK_FRAMES) / RATE;
      const fromSec = nowSec + 0.06;
      const positionSec = positionOn(way, fromSec);
      way = [...way, { atSec: fromSec, positionSec, rate }, { atSec: fromSec + lastSec, positionSec: positionSec + lastSec * rate, rate: 1 }];
      slewUntilSec = fromSec + lastSec;
      corrections.slews += 1;
      corrections.mostRate = Math.max(corrections.mostRate, Math.abs(rate - 1));
    } else if (plan?.kind === 'start') {
      way = [{ atSec: (plan.atMs - lagMs) / 1000, positionSec: plan.positionSec, rate: 1 }];
      corrections.cuts += 1;
    }
  }
  return { offs, ...corrections };
}

const worst = (offs, fromMs, toMs = Infinity) =>
  Math.max(...offs.filter(({ nowMs }) => nowMs >= fromMs && nowMs < toMs).map(({ offMs }) => Math.abs(offMs)));

for (const ppm of [-100, -80, 0, 80, 100]) {
  test(`for ten minutes a sound that runs ${ppm} ppm fast stays within a millisecond, uncut`, (t) => {
    const { offs, cuts, slews, mostRate } = play({ seconds: 600, ppm });
    t.diagnostic(`worst ${worst(offs, 0).toFixed(2)} ms, ${slews} slews, at most ${(mostRate * 100).toFixed(3)} %`);
    assert.ok(worst(offs, 0) < 1);
    assert.equal(cuts, 0);
    assert.ok(mostRate <= 0.005);
    assert.ok(ppm !== 0 || slews === 0);
  });
}

for (const forMs of [7, 20, 45, 82, 200]) {
  test(`after the sound stood still for ${forMs} ms it is back within 5 ms in 3 s`, (t) => {
    const { offs, cuts } = play({ seconds: 20, ppm: 50, stalls: [{ atMs: 5_010, forMs }] });
    t.diagnostic(`${cuts} cuts; after 3 s at most ${worst(offs, 8_010).toFixed(2)} ms off`);
    assert.ok(worst(offs, 8_210) < 5);
    assert.ok(worst(offs, 12_000) < 1);
    assert.ok(cuts <= 1);
  });
}

test('a start that was missed by little is put right without a cut', () => {
  for (const startOffMs of [-25, -4, 3, 25]) {
    const { offs, cuts } = play({ seconds: 20, startOffMs });
    assert.equal(cuts, 0);
    assert.ok(worst(offs, 9_000) < 1);
  }
});

test('a start that was missed by much is cut to its place within a second, once', () => {
  const { offs, cuts } = play({ seconds: 10, startOffMs: 180 });
  assert.equal(cuts, 1);
  assert.ok(worst(offs, 1_000) < 1);
});

test('an output that is told of with much noise is not chased', () => {
  const { offs, cuts, slews } = play({ seconds: 120, noiseMs: 8 });
  assert.equal(cuts, 0);
  assert.ok(slews < 15, `${slews} slews`);
  assert.ok(worst(offs, 0) < 5);
});

test('a machine that stalls again and again is followed each time', () => {
  const stalls = Array.from({ length: 6 }, (_, i) => ({ atMs: 5_000 + i * 6_000, forMs: 40 + i * 10 }));
  const { offs } = play({ seconds: 45, ppm: -60, stalls });
  for (const { atMs } of stalls) assert.ok(worst(offs, atMs + 3_200, atMs + 6_000) < 5);
});
