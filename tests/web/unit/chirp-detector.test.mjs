// The detection of delayed chirps in synthetic recordings with echoes, noise, speech, clipping and gaps.

import assert from 'node:assert/strict';
import test from 'node:test';
import { measureLateness } from '../../../static/js/sound/chirp-detector.js';
import { TEST_SOUNDS } from '../../../static/js/sound/test-sound-samples.js';
import { chirpTurns } from '../../../static/js/sound/test-sound-schedule.js';
import { seededRandom } from '../support/seeded-random.mjs';

const STARTED_MS = 5_000_000;

/** Latency of the simulated microphone. */
const MICROPHONE_LATENCY_MS = 83;

const rms = (samples) => Math.sqrt(samples.reduce((sum, value) => sum + value ** 2, 0) / samples.length);

/**
 * Synthesises the recording of a measurement and evaluates it.
 * @param {object} scene
 * @param {Record<string, number | null>} scene.latenessMs of each phone; `null` for a silent phone
 * @param {number} [scene.rounds]
 * @param {(memberId: string, round: number) => number} [scene.variationMs] additional lateness in a round
 * @param {number} [scene.sampleRate] in Hz
 * @param {number} [scene.level] of the chirps
 * @param {{afterMs: number, relativeLevel: number}[]} [scene.echoes] of the second phone; `relativeLevel` is the level divided by that of the chirp
 * @param {number} [scene.snrDb] signal-to-noise ratio of white noise
 * @param {(samples: Float32Array, sampleRate: number) => void} [scene.distort] modifies the recording
 */
function measureScene({ latenessMs, rounds = 2, variationMs = () => 0, sampleRate = 48_000, level = 0.3, echoes = [], snrDb = 60, distort = () => {} }) {
  const memberIds = Object.keys(latenessMs);
  const schedule = chirpTurns({ startsAtMs: STARTED_MS + 700, memberIds }).slice(0, rounds * memberIds.length);
  const samples = new Float32Array(Math.ceil((((schedule.at(-1)?.atMs ?? 0) - STARTED_MS + 1_500) / 1_000) * sampleRate));
  for (const [turn, { memberId, atMs, sound: name }] of schedule.entries()) {
    const sound = TEST_SOUNDS[name](sampleRate).map((value) => 2 * level * value);
    if (latenessMs[memberId] === null) continue;
    const soundLatenessMs = latenessMs[memberId] + variationMs(memberId, Math.floor(turn / memberIds.length));
    for (const { afterMs, relativeLevel } of [{ afterMs: 0, relativeLevel: 1 }, ...(memberId === memberIds[1] ? echoes : [])]) {
      const firstSample = Math.round(((atMs - STARTED_MS + soundLatenessMs + afterMs + MICROPHONE_LATENCY_MS) / 1_000) * sampleRate);
      sound.forEach((value, i) => (samples[firstSample + i] += relativeLevel * value));
    }
  }
  const random = seededRandom(7);
  const noise = 2 * level * rms(TEST_SOUNDS.rise(sampleRate)) * 10 ** (-snrDb / 20) * Math.sqrt(3);
  for (let i = 0; i < samples.length; i += 1) samples[i] += noise * random();
  distort(samples, sampleRate);
  return measureLateness({ samples, sampleRate, startedAtMs: STARTED_MS }, schedule);
}

/** The largest error in ms. */
function largestErrorMs(latenessMs, measured) {
  const earliestMs = Math.min(...Object.values(latenessMs).filter((lateMs) => lateMs !== null));
  return Math.max(...Object.entries(latenessMs).map(([member, lateMs]) =>
    lateMs === null ? 0 : Math.abs((measured.get(member) ?? NaN) - (lateMs - earliestMs))));
}

function assertLateness(limitMs, latenessMs, measured, description) {
  const errorMs = largestErrorMs(latenessMs, measured);
  assert.ok(errorMs <= limitMs, `${description}: ${errorMs} ms off, measured ${JSON.stringify([...measured])}`);
}

const TWO_PHONES = { m1: 0, m2: 180 };

test('lateness from -400 to 400 ms is measured to 0.1 ms', () => {
  for (const lateMs of [0, 3.3, 57, 180.5, 400, -400]) {
    const latenessMs = { m1: 0, m2: lateMs };
    assertLateness(0.1, latenessMs, measureScene({ latenessMs }), `a lateness of ${lateMs} ms`);
  }
});

test('the error stays within limits in white noise down to -15 dB', () => {
  for (const [snrDb, limitMs] of [[0, 0.5], [-10, 3], [-15, 3]]) {
    assertLateness(limitMs, TWO_PHONES, measureScene({ latenessMs: TWO_PHONES, rounds: 3, snrDb }), `noise at ${snrDb} dB`);
  }
});

test('chirps drowned in noise are reported as not found', () => {
  assert.deepEqual([...measureScene({ latenessMs: TWO_PHONES, snrDb: -30 }).values()], [null, null]);
});

test('the direct sound is found before a louder echo', () => {
  for (const [relativeLevel, afterMs] of [[1, 1.7], [2, 5], [1.5, 40], [2, 130], [2, 300]]) {
    const measured = measureScene({ latenessMs: { m1: 0, m2: 90 }, echoes: [{ afterMs, relativeLevel }], snrDb: 20 });
    assertLateness(0.5, { m1: 0, m2: 90 }, measured, `an echo of ${relativeLevel} after ${afterMs} ms`);
  }
});

test('reverberation of half a second does not change the result', () => {
  const random = seededRandom(3);
  const echoes = Array.from({ length: 200 }, (_, i) => ({ afterMs: 4 + 2.5 * i, relativeLevel: 0.4 * random() * Math.exp(-i / 60) }));
  const latenessMs = { m1: 12, m2: 0, m3: 400 };
  assertLateness(0.5, latenessMs, measureScene({ latenessMs, echoes, snrDb: 15 }), 'reverberation');
});

test('only the silent phone is reported as not found', () => {
  const measured = measureScene({ latenessMs: { m1: 30, m2: null, m3: 0 }, snrDb: 10 });
  assert.equal(measured.get('m2'), null);
  assertLateness(0.2, { m1: 30, m2: null, m3: 0 }, measured, 'the other phones');
});

test('without chirps or with a dead microphone no phone is found', () => {
  assert.deepEqual([...measureScene({ latenessMs: { m1: null, m2: null } }).values()], [null, null]);
  const mute = (samples) => samples.fill(0);
  assert.deepEqual([...measureScene({ latenessMs: TWO_PHONES, distort: mute }).values()], [null, null]);
});

test('clipping does not change the result', () => {
  for (const maxAmplitude of [0.1, 0.02]) {
    const clip = (samples) => samples.forEach((value, i) => (samples[i] = Math.max(-maxAmplitude, Math.min(maxAmplitude, value))));
    assertLateness(0.2, TWO_PHONES, measureScene({ latenessMs: TWO_PHONES, distort: clip }), `clipped at ${maxAmplitude}`);
  }
});

test('a hum a hundred times louder than a chirp is filtered out', () => {
  const addHum = (samples, sampleRate) => samples.forEach((_, i) => (samples[i] += 3 * Math.sin((2 * Math.PI * 100 * i) / sampleRate)));
  assertLateness(0.2, TWO_PHONES, measureScene({ latenessMs: TWO_PHONES, level: 0.03, distort: addHum }), 'a hum of 100 Hz');
});

test('speech is not detected as a chirp', () => {
  const addSpeech = (samples, sampleRate) => {
    const random = seededRandom(5);
    for (let firstSample = 0; firstSample < samples.length; firstSample += Math.round(0.25 * sampleRate)) {
      const hz = 140 + 60 * random();
      for (let i = 0; i < 0.18 * sampleRate && firstSample + i < samples.length; i += 1) {
        for (let harmonic = 1; harmonic < 30; harmonic += 1) samples[firstSample + i] += (0.2 / harmonic) * Math.sin((2 * Math.PI * hz * harmonic * i) / sampleRate) * Math.sin((Math.PI * i) / (0.18 * sampleRate));
      }
    }
  };
  const measured = measureScene({ latenessMs: { m1: 0, m2: null, m3: 77 }, rounds: 3, distort: addSpeech });
  assert.equal(measured.get('m2'), null);
  assertLateness(0.5, { m1: 0, m2: null, m3: 77 }, measured, 'the other phones');
});

test('one disturbed round does not change the median', () => {
  const silenceOneRound = (samples, sampleRate) => samples.fill(0, Math.round(4 * sampleRate), Math.round(5 * sampleRate));
  assertLateness(0.2, TWO_PHONES, measureScene({ latenessMs: TWO_PHONES, rounds: 6, distort: silenceOneRound }), 'a round of silence');
});

test('a phone found in one of three evaluated rounds has no result', () => {
  const silenceTwoChirps = (samples, sampleRate) => {
    for (const [fromSec, toSec] of [[4.8, 5.2], [6, 6.4]]) samples.fill(0, fromSec * sampleRate, toSec * sampleRate);
  };
  assert.deepEqual([...measureScene({ latenessMs: TWO_PHONES, rounds: 4, distort: silenceTwoChirps })], [['m1', 0], ['m2', null]]);
});

test('chirps before the output latency has settled are discarded', () => {
  const latenessMs = { m1: 0, m2: 180, m3: 33 };
  const variationMs = (memberId, round) => (memberId === 'm2' ? ([-21, -6, -3][round] ?? 0) : 0);
  assertLateness(0.2, latenessMs, measureScene({ latenessMs, rounds: 6, variationMs }), 'settling latency');
});

test('gaps in the recording do not make a phone seem early', () => {
  const latenessMs = { m1: 0, m2: 180, m3: 33 };
  const dropSamples = (samples, sampleRate) => {
    for (const [atSec, ms] of [[3.2, 24], [6.1, 11], [9.4, 40]]) {
      samples.copyWithin(Math.round(atSec * sampleRate), Math.round((atSec + ms / 1_000) * sampleRate));
    }
  };
  assertLateness(0.5, latenessMs, measureScene({ latenessMs, rounds: 6, distort: dropSamples }), 'dropped samples');
});

test('varying lateness is measured by its median', () => {
  const latenessMs = { m1: 0, m2: 180, m3: 33 };
  const random = seededRandom(12);
  const variationMs = (memberId, round) => (memberId === 'm3' && round === 4 ? 30 : random());
  assertLateness(1, latenessMs, measureScene({ latenessMs, rounds: 6, variationMs }), 'varying lateness');
});

test('recordings at 16 and 44.1 kHz are equally accurate', () => {
  for (const sampleRate of [16_000, 44_100]) assertLateness(0.2, TWO_PHONES, measureScene({ latenessMs: TWO_PHONES, sampleRate, snrDb: 10 }), `a recording at ${sampleRate} Hz`);
});
