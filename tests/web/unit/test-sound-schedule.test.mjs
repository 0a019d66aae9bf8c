// The schedule of test sounds: whose chirp or tick is due when.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { SAME_CHIRP_INTERVAL_MS, nextTestSound, chirpTurns } from '../../../static/js/sound/test-sound-schedule.js';
import { TEST_SOUNDS } from '../../../static/js/sound/test-sound-samples.js';

const STARTS_AT_MS = 5_000_700;

const memberIdsUpTo = (count) => Array.from({ length: count }, (_, index) => `m${index + 1}`);
const chirpSchedule = (memberIds) => ({ kind: 'chirp', startsAtMs: STARTS_AT_MS, memberIds });

test('phones chirp in turn, and consecutive chirps differ', () => {
  assert.deepEqual(chirpTurns(chirpSchedule(['m1', 'm7', 'm9'])).slice(0, 4), [
    { memberId: 'm1', atMs: STARTS_AT_MS + 1_000, sound: 'rise' },
    { memberId: 'm7', atMs: STARTS_AT_MS + 1_600, sound: 'fall' },
    { memberId: 'm9', atMs: STARTS_AT_MS + 2_200, sound: 'rise' },
    { memberId: 'm1', atMs: STARTS_AT_MS + 2_800, sound: 'fall' },
  ]);
  const counts = [1, 2, 3, 4, 6, 9, 30].map((count) => chirpTurns(chirpSchedule(memberIdsUpTo(count))).length);
  assert.deepEqual(counts, [8, 16, 18, 16, 18, 18, 60]);
});

test('chirps equal those that the server looks for in its recording', () => {
  const expected = JSON.parse(readFileSync(new URL('../../fixtures/chirps.json', import.meta.url), 'utf8'));
  for (const { phones, turns, first, last } of expected.schedules) {
    const rows = chirpTurns({ startsAtMs: 100_000, memberIds: memberIdsUpTo(phones) }).map(({ memberId, atMs, sound }) => [memberId, atMs, sound]);
    assert.deepEqual([rows.length, rows[0], rows.at(-1)], [turns, first, last]);
  }
  for (const name of /** @type {const} */ (['rise', 'fall'])) {
    const samples = TEST_SOUNDS[name](48_000);
    assert.equal(samples.length, expected.samples.count);
    for (const [index, value] of expected.samples[name]) assert.ok(Math.abs(samples[index] - value) < 1e-6, `${name} ${index}`);
  }
});

test('a measurement of three phones takes less than fifteen seconds', () => {
  const requestedAtMs = STARTS_AT_MS - 700;
  const lastTurn = chirpTurns(chirpSchedule(['m1', 'm2', 'm3'])).at(-1);
  assert.ok(lastTurn.atMs + SAME_CHIRP_INTERVAL_MS - requestedAtMs < 15_000);
});

test('a phone’s next chirp is at its next turn', () => {
  const chirps = chirpSchedule(['m1', 'm2']);
  const afterStart = (ms) => chirps.startsAtMs + ms;
  for (const [memberId, nowMs, sound, dueMs] of [
    ['m2', -900, 'fall', 1_600],
    ['m2', 1_600, 'fall', 1_600],
    ['m2', 1_601, 'fall', 2_800],
    ['m1', 9_400, 'rise', 9_400],
    ['m1', 9_401, null, null],
    ['m3', 0, null, null],
    [null, 0, null, null],
  ]) {
    const next = nextTestSound(chirps, memberId, afterStart(nowMs));
    assert.deepEqual([next?.sound ?? null, next && next.atMs - chirps.startsAtMs], [sound, dueMs], `the next chirp of ${memberId} at ${nowMs} ms`);
  }
});

const TICK_SCHEDULE = { kind: 'tick', startsAtMs: 5_000, memberIds: [] };
for (const [name, schedule, serverMs, tickMs] of [
  ['the first tick if the start is ahead', TICK_SCHEDULE, 4_200, 5_000],
  ['at the next whole second after the start', TICK_SCHEDULE, 7_001, 8_000],
  ['now if the second is whole', TICK_SCHEDULE, 8_000, 8_000],
  ['null after a minute', TICK_SCHEDULE, 65_001, null],
  ['null after a stop', { ...TICK_SCHEDULE, kind: 'off' }, 7_000, null],
]) {
  test(`the next tick is ${name}`, () => assert.deepEqual(nextTestSound(schedule, 'm1', serverMs), tickMs && { sound: 'tick', atMs: tickMs }));
}
