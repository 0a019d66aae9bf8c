// Speakers compared by a microphone: who chirps when, and how late each is in a recording. The recordings are made
// here, of the page's own chirp: late, with echoes, noise, voices, and too loud for the microphone.

import assert from 'node:assert/strict';
import test from 'node:test';
import { lateness } from '../../../static/js/listen.js';
import { SOUNDS } from '../../../static/js/player/sounds.js';
import { SAME_CHIRP_MS, nextSound, turns } from '../../../static/js/tuner.js';
import { delaysFor } from '../../../static/js/ui/measure.js';
import { dice } from '../support/dice.mjs';

const STARTED_MS = 5_000_000;
const MICROPHONE_MS = 83;

const members = (count) => Array.from({ length: count }, (_, i) => `m${i + 1}`);
const tuning = (memberIds, kind = 'chirp') => ({ kind, startsAtMs: STARTED_MS + 700, memberIds });
const rms = (samples) => Math.sqrt(samples.reduce((sum, value) => sum + value ** 2, 0) / samples.length);

/**
 * What a microphone hears of a room.
 * @param {object} scene
 * @param {Record<string, number | null>} scene.late each phone's, in ms; `null` for one that is silent
 * @param {number} [scene.rounds]
 * @param {(memberId: string, round: number) => number} [scene.wander] by how much more it is late then, in ms
 * @param {number} [scene.rate]
 * @param {number} [scene.level] of the chirps
 * @param {{afterMs: number, share: number}[]} [scene.echoes] of the second phone, which stands elsewhere
 * @param {number} [scene.snrDb] of white noise, over all that the microphone hears
 * @param {(samples: Float32Array, rate: number) => void} [scene.also] what else is done to it
 */
function room({ late, rounds = 2, wander = () => 0, rate = 48_000, level = 0.3, echoes = [], snrDb = 60, also = () => {} }) {
  const memberIds = Object.keys(late);
  const plan = turns(tuning(memberIds)).slice(0, rounds * memberIds.length);
  const samples = new Float32Array(Math.ceil((((plan.at(-1)?.atMs ?? 0) - STARTED_MS + 1_500) / 1_000) * rate));
  for (const [i, { memberId, atMs, sound: name }] of plan.entries()) {
    const sound = SOUNDS[name](rate).map((value) => 2 * level * value);
    if (late[memberId] === null) continue;
    const lateMs = late[memberId] + wander(memberId, Math.floor(i / memberIds.length));
    for (const { afterMs, share } of [{ afterMs: 0, share: 1 }, ...(memberId === memberIds[1] ? echoes : [])]) {
      const from = Math.round(((atMs - STARTED_MS + lateMs + afterMs + MICROPHONE_MS) / 1_000) * rate);
      sound.forEach((value, i) => (samples[from + i] += share * value));
    }
  }
  const roll = dice(7);
  const noise = 2 * level * rms(SOUNDS.rise(rate)) * 10 ** (-snrDb / 20) * Math.sqrt(3);
  for (let i = 0; i < samples.length; i += 1) samples[i] += noise * roll();
  also(samples, rate);
  return lateness({ samples, sampleRate: rate, startedAtMs: STARTED_MS }, plan);
}

/** How far off the worst is. */
function worst(late, found) {
  const first = Math.min(...Object.values(late).filter((lateMs) => lateMs !== null));
  return Math.max(...Object.entries(late).map(([member, lateMs]) =>
    lateMs === null ? 0 : Math.abs((found.get(member) ?? NaN) - (lateMs - first))));
}

function within(limitMs, late, found, what) {
  const off = worst(late, found);
  assert.ok(off <= limitMs, `${what}: ${off} ms off, ${JSON.stringify([...found])}`);
}

const TWO = { m1: 0, m2: 180 };

test('a phone that is late by 0 to 400 ms, or early, is found to be so to a tenth of a millisecond', () => {
  for (const lateMs of [0, 3.3, 57, 180.5, 400, -400]) {
    const late = { m1: 0, m2: lateMs };
    within(0.1, late, room({ late }), `${lateMs} ms`);
  }
});

test('speakers are told apart in white noise as loud as they are, and within 3 ms in five times as loud', () => {
  for (const [snrDb, limitMs] of [[0, 0.5], [-10, 3], [-15, 3]]) {
    within(limitMs, TWO, room({ late: TWO, rounds: 3, snrDb }), `${snrDb} dB`);
  }
});

test('where noise drowns a chirp, it is not heard rather than heard wrong', () => {
  assert.deepEqual([...room({ late: TWO, snrDb: -30 }).values()], [null, null]);
});

test('an echo that is louder than what comes straight is not taken for it', () => {
  for (const [share, afterMs] of [[1, 1.7], [2, 5], [1.5, 40], [2, 130], [2, 300]]) {
    const found = room({ late: { m1: 0, m2: 90 }, echoes: [{ afterMs, share }], snrDb: 20 });
    within(0.5, { m1: 0, m2: 90 }, found, `an echo of ${share} after ${afterMs} ms`);
  }
});

test('a room that rings for half a second changes nothing', () => {
  const roll = dice(3);
  const echoes = Array.from({ length: 200 }, (_, i) => ({ afterMs: 4 + 2.5 * i, share: 0.4 * roll() * Math.exp(-i / 60) }));
  const late = { m1: 12, m2: 0, m3: 400 };
  within(0.5, late, room({ late, echoes, snrDb: 15 }), 'reverberation');
});

test('a phone that cannot be heard is said to be, and the others are found all the same', () => {
  const found = room({ late: { m1: 30, m2: null, m3: 0 }, snrDb: 10 });
  assert.equal(found.get('m2'), null);
  within(0.2, { m1: 30, m2: null, m3: 0 }, found, 'the others');
});

test('in a quiet room, or with a dead microphone, nobody is heard', () => {
  assert.deepEqual([...room({ late: { m1: null, m2: null } }).values()], [null, null]);
  const dead = (samples) => samples.fill(0);
  assert.deepEqual([...room({ late: TWO, also: dead }).values()], [null, null]);
});

test('a microphone that clips hears as well', () => {
  for (const most of [0.1, 0.02]) {
    const clip = (samples) => samples.forEach((value, i) => (samples[i] = Math.max(-most, Math.min(most, value))));
    within(0.2, TWO, room({ late: TWO, also: clip }), `cut at ${most}`);
  }
});

test('a hum a hundred times as loud as a chirp is not listened to', () => {
  const hum = (samples, rate) => samples.forEach((_, i) => (samples[i] += 3 * Math.sin((2 * Math.PI * 100 * i) / rate)));
  within(0.2, TWO, room({ late: TWO, level: 0.03, also: hum }), 'hum');
});

test('a voice is no phone', () => {
  const voice = (samples, rate) => {
    const roll = dice(5);
    for (let at = 0; at < samples.length; at += Math.round(0.25 * rate)) {
      const hz = 140 + 60 * roll();
      for (let i = 0; i < 0.18 * rate && at + i < samples.length; i += 1) {
        for (let k = 1; k < 30; k += 1) samples[at + i] += (0.2 / k) * Math.sin((2 * Math.PI * hz * k * i) / rate) * Math.sin((Math.PI * i) / (0.18 * rate));
      }
    }
  };
  const found = room({ late: { m1: 0, m2: null, m3: 77 }, rounds: 3, also: voice });
  assert.equal(found.get('m2'), null);
  within(0.5, { m1: 0, m2: null, m3: 77 }, found, 'the others');
});

test('a round that a door slams into is outvoted', () => {
  const slam = (samples, rate) => samples.fill(0, Math.round(4 * rate), Math.round(5 * rate));
  within(0.2, TWO, room({ late: TWO, rounds: 6, also: slam }), 'a round of silence');
});

test('what is heard in one round of three may be anything, and does not count', () => {
  const once = (samples, rate) => {
    for (const [fromSec, toSec] of [[4.8, 5.2], [6, 6.4]]) samples.fill(0, fromSec * rate, toSec * rate);
  };
  assert.deepEqual([...room({ late: TWO, rounds: 4, also: once })], [['m1', 0], ['m2', null]]);
});

test('outputs that only settle after their first chirps are measured by the later ones', () => {
  const late = { m1: 0, m2: 180, m3: 33 };
  const wander = (memberId, round) => (memberId === 'm2' ? ([-21, -6, -3][round] ?? 0) : 0);
  within(0.2, late, room({ late, rounds: 6, wander }), 'settling');
});

test('a microphone that leaves out some of what it hears, again and again, makes nobody early', () => {
  const late = { m1: 0, m2: 180, m3: 33 };
  const losses = (samples, rate) => {
    for (const [atSec, ms] of [[3.2, 24], [6.1, 11], [9.4, 40]]) {
      samples.copyWithin(Math.round(atSec * rate), Math.round((atSec + ms / 1_000) * rate));
    }
  };
  within(0.5, late, room({ late, rounds: 6, also: losses }), 'losses');
});

test('speakers that wander are measured by what they do as a rule', () => {
  const late = { m1: 0, m2: 180, m3: 33 };
  const roll = dice(12);
  const wander = (memberId, round) => (memberId === 'm3' && round === 4 ? 30 : roll());
  within(1, late, room({ late, rounds: 6, wander }), 'wandering');
});

test('it is as good at the rates that browsers record at', () => {
  for (const rate of [16_000, 44_100]) within(0.2, TWO, room({ late: TWO, rate, snrDb: 10 }), `${rate} Hz`);
});

test('phones chirp by turns, each as often as there is patience for, and never as the one before', () => {
  const { startsAtMs } = tuning([]);
  assert.deepEqual(turns(tuning(['m1', 'm7', 'm9'])).slice(0, 4), [
    { memberId: 'm1', atMs: startsAtMs + 1_000, sound: 'rise' },
    { memberId: 'm7', atMs: startsAtMs + 1_600, sound: 'fall' },
    { memberId: 'm9', atMs: startsAtMs + 2_200, sound: 'rise' },
    { memberId: 'm1', atMs: startsAtMs + 2_800, sound: 'fall' },
  ]);
  const counts = [1, 2, 3, 4, 6, 9, 30].map((count) => turns(tuning(members(count))).length);
  assert.deepEqual(counts, [8, 16, 18, 16, 18, 18, 60]);
});

test('a round with three phones takes no more than fifteen seconds', () => {
  const { startsAtMs, ...rest } = tuning(['m1', 'm2', 'm3']);
  const last = turns({ startsAtMs, ...rest }).at(-1);
  assert.ok(last.atMs + SAME_CHIRP_MS - STARTED_MS < 15_000);
});

test('a phone chirps at its own turns, and not after them', () => {
  const chirps = tuning(['m1', 'm2']);
  const at = (ms) => chirps.startsAtMs + ms;
  for (const [memberId, nowMs, sound, dueMs] of [
    ['m2', -900, 'fall', 1_600],
    ['m2', 1_600, 'fall', 1_600],
    ['m2', 1_601, 'fall', 2_800],
    ['m1', 9_400, 'rise', 9_400],
    ['m1', 9_401, null, null],
    ['m3', 0, null, null],
    [null, 0, null, null],
  ]) {
    const next = nextSound(chirps, memberId, at(nowMs));
    assert.deepEqual([next?.sound ?? null, next && next.atMs - chirps.startsAtMs], [sound, dueMs], `${memberId} ${nowMs}`);
  }
});

test('what is measured comes on top of the delay that was known, within what a delay may be', () => {
  const clients = { m1: { name: '', delayMs: 40 }, m2: { name: '' }, m3: { name: '', delayMs: 400 }, m4: { name: '', delayMs: 9 } };
  const late = new Map([['m1', 0], ['m2', 180.25], ['m3', 150], ['m4', null], ['m9', 3]]);
  assert.deepEqual(delaysFor(late, clients), { m1: 40, m2: 180.25, m3: 500 });
});
