// Loudness and true peak by ITU-R BS.1770: the synthetic signals of EBU Tech 3341, whose figures are known.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLoudnessMeter } from '../../../static/js/sound/loudness.js';

/**
 * The loudness of a sine tone with the given levels one after the other.
 * @param {{db: number, seconds: number}[]} parts peak level in dB of full scale
 * @param {{channels?: number, rate?: number, hz?: number, phase?: number, pieceFrames?: number}} [options]
 */
function measure(parts, { channels = 2, rate = 48_000, hz = 1_000, phase = 0, pieceFrames = 100_003 } = {}) {
  const meter = createLoudnessMeter(rate, channels);
  const levels = parts.flatMap(({ db, seconds }) => Array.from({ length: Math.round(seconds * rate) }, () => 10 ** (db / 20)));
  const samples = Float32Array.from(levels, (level, i) => level * Math.sin((2 * Math.PI * hz * i) / rate + phase));
  for (let from = 0; from < samples.length; from += pieceFrames) {
    const piece = samples.slice(from, from + pieceFrames);
    meter.add(Array.from({ length: channels }, () => piece));
  }
  return meter.result();
}

/** @param {number} found @param {number} expected @param {number} tolerance */
const assertNear = (found, expected, tolerance) => assert.ok(Math.abs(found - expected) <= tolerance, `${found} is not ${expected} ± ${tolerance}`);

for (const [name, parts, options, lufs] of /** @type {[string, {db: number, seconds: number}[], object, number][]} */ ([
  ['a stereo sine of 1 kHz at -20 dB has -20 LUFS', [{ db: -20, seconds: 3 }], {}, -20],
  ['a mono sine has 3 dB less', [{ db: -20, seconds: 3 }], { channels: 1 }, -23],
  ['44.1 kHz makes no difference', [{ db: -23, seconds: 3 }], { rate: 44_100 }, -23],
  ['96 kHz makes no difference', [{ db: -23, seconds: 3 }], { rate: 96_000 }, -23],
  ['the LFE of surround does not count', [{ db: -20, seconds: 3 }], { channels: 6 }, -20 + 10 * Math.log10((3 + 2 * 1.41) / 2)],
  ['the relative gate leaves out quiet parts (case 3)', [{ db: -36, seconds: 10 }, { db: -23, seconds: 60 }, { db: -36, seconds: 10 }], {}, -23],
  ['the absolute gate leaves out silence (case 4)', [-72, -36, -23, -36, -72].map((db) => ({ db, seconds: db === -23 ? 60 : 10 })), {}, -23],
  ['parts of different loudness are averaged (case 5)', [{ db: -26, seconds: 20 }, { db: -20, seconds: 20.1 }, { db: -26, seconds: 20 }], {}, -23],
  ['silence has the lowest loudness', [{ db: -200, seconds: 3 }], {}, -70],
  ['a sound shorter than a block has the lowest loudness', [{ db: -20, seconds: 0.3 }], {}, -70],
])) {
  test(name, () => assertNear(measure(parts, options).lufs, lufs, 0.05));
}

test('high tones weigh more and very low tones less', () => {
  const tone = [{ db: -20, seconds: 3 }];
  assertNear(measure(tone, { hz: 8_000 }).lufs, -20 + 3.3, 0.1);
  assertNear(measure(tone, { hz: 40 }).lufs, -20 - 6.1, 0.3);
});

test('the true peak between two samples is found', () => {
  const parts = [{ db: -6, seconds: 1 }];
  // A quarter of the sample rate at 45°: each sample is 3 dB below the peak.
  assertNear(measure(parts, { hz: 12_000, phase: Math.PI / 4 }).peakDb, -6, 0.2);
  assertNear(measure(parts, { hz: 997 }).peakDb, -6, 0.05);
  assert.equal(measure([{ db: -200, seconds: 1 }]).peakDb, -120);
});

test('the size of the pieces makes no difference', () => {
  const parts = [{ db: -30, seconds: 1.2 }, { db: -14, seconds: 2.1 }];
  const [whole, ...others] = [1e9, 1, 4_800, 7_919].map((pieceFrames) => measure(parts, { pieceFrames, rate: 8_000, hz: 1_990, phase: 0.4 }));
  for (const other of others) {
    assertNear(other.lufs, whole.lufs, 1e-6);
    assertNear(other.peakDb, whole.peakDb, 1e-6);
  }
});
