// The goal of a phone: what it should play and when, from the state of the room.

import assert from 'node:assert/strict';
import test from 'node:test';
import { anchorKey, anchorTimeMs, goalFor, isOver, isPredictionValid, isSegueAtEnd, nextStart, roomPositionSec } from '../../../static/js/sound/goal.js';
import { barrier, playing, room } from '../support/rooms.mjs';

const OFFSET_MS = 1_000;

function goal(overrides = {}) {
  return goalFor({ room: playing(6_000), offsetMs: OFFSET_MS, isRemoteControl: false, isPlayable: () => true, predictedStart: null, delayMs: 0, ...overrides });
}

/** Asserts that `actual` has all fields of `expected`. */
function assertIncludes(actual, expected) {
  for (const [key, value] of Object.entries(expected)) assert.deepEqual(actual[key], value, key);
}

test('the goal for a room', async (t) => {
  const predictedStart = { trackId: 'c', previousTrackId: 'b', anchorKey: anchorKey(playing(6_000)), atMs: 9_000 };
  const cases = [
    ['a remote control is silent', { isRemoteControl: true }, { kind: 'silent' }],
    ['an empty room is silent', { room: room({ queue: [], queueIndex: 0 }) }, { kind: 'silent' }],
    ['a track that is not stored or not playable is silent', { isPlayable: () => false }, { kind: 'silent' }],
    ['a paused room holds at the anchor', { room: room({ playState: { mode: 'paused', anchorPositionSec: 4 } }) }, { kind: 'hold', trackId: 'b', positionSec: 4, mayBeBrief: false }],
    ['a barrier holds briefly', { room: room({ barrier: barrier() }) }, { kind: 'hold', trackId: 'b', positionSec: 0, mayBeBrief: true }],
    ['a playing room plays from its anchor', {}, { kind: 'play', trackId: 'b', positionSec: 0, atMs: 5_000 }],
    ['a delayed loudspeaker plays earlier', { delayMs: 80 }, { kind: 'play', atMs: 4_920 }],
    ['without a clock offset nothing changes', { offsetMs: null }, { kind: 'unchanged' }],
    ['without an anchor time nothing changes', { room: playing(null) }, { kind: 'unchanged' }],
    ['if the server sends no anchor, the event’s arrival is used', { room: playing(null, { anchorArrivedMs: 77 }) }, { kind: 'play', atMs: 77 }],
    ['a predicted start plays the next track', { predictedStart }, { kind: 'play', trackId: 'c', atMs: 9_000, isPredicted: true }],
    ['a predicted start ends when the anchor changes', { predictedStart: { ...predictedStart, anchorKey: 'other' } }, { kind: 'play', trackId: 'b' }],
  ];
  for (const [name, overrides, expected] of cases) {
    await t.test(name, () => assertIncludes(goal(overrides), expected));
  }
});

test('a predicted start ends when the anchor or the current track changes', () => {
  const predictedStart = { trackId: 'c', previousTrackId: 'b', anchorKey: anchorKey(playing(6_000)), atMs: 9_000 };
  assert.equal(isPredictionValid(predictedStart, playing(6_000)), true);
  assert.equal(isPredictionValid(predictedStart, playing(6_000, { eventCount: 8, clients: {} })), true);
  assert.equal(isPredictionValid(predictedStart, playing(6_001)), false);
  assert.equal(isPredictionValid(predictedStart, playing(6_000, { queueIndex: 2 })), false);
});

test('the displayed position stays within the track', () => {
  const positionAt = (nowMs) => roomPositionSec(playing(6_000), OFFSET_MS, nowMs, 60);
  assert.deepEqual([positionAt(4_000), positionAt(5_000), positionAt(15_000), positionAt(500_000)], [0, 0, 10, 60]);
  assert.equal(roomPositionSec(room({ playState: { mode: 'paused', anchorPositionSec: 9 } }), 0, 99_999, 60), 9);
  assert.equal(roomPositionSec(playing(null), 0, 99_999, 60), 0);
});

test('there is no anchor time during a barrier', () => {
  assert.equal(anchorTimeMs(playing(6_000, { barrier: barrier() }), 0), null);
});

test('a segue that contradicts the end of the track by more than 0.25 s is ignored', () => {
  // The track of 60 s ends at 65,000 ms of the page's clock, and 80 ms earlier on a phone with this speaker delay.
  const segueAt = (/** @type {number} */ anchorAtMs) => ({ trackId: 'c', anchorAtMs, eventCount: 7 });
  for (const delayMs of [0, 80]) {
    const inputs = { durationSec: 60, offsetMs: OFFSET_MS, delayMs };
    for (const [anchorAtMs, isUsed] of [[66_000, true], [65_751, true], [66_249, true], [65_749, false], [66_251, false], [62_000, false]]) {
      const segue = segueAt(anchorAtMs);
      assert.equal(isSegueAtEnd(segue, goal({ delayMs }), inputs), isUsed, `${anchorAtMs} ms`);
      const start = nextStart({ goal: goal({ delayMs }), ...inputs, segue, offlineNextId: null });
      assert.deepEqual(start, isUsed ? { trackId: 'c', atMs: anchorAtMs - OFFSET_MS - delayMs } : null);
    }
    const offline = nextStart({ goal: goal({ delayMs }), ...inputs, segue: segueAt(62_000), offlineNextId: 'd' });
    assert.deepEqual(offline, { trackId: 'd', atMs: 65_000 - delayMs });
  }
  assert.equal(isSegueAtEnd(segueAt(62_000), goal(), { durationSec: 0, offsetMs: OFFSET_MS, delayMs: 0 }), true);
});

test('a track of known length is over after its duration', () => {
  assert.equal(isOver(goal(), 60, 64_000), false);
  assert.equal(isOver(goal(), 60, 65_000), true);
  assert.equal(isOver(goal(), 0, 65_000), false);
  assert.equal(isOver({ kind: 'silent' }, 60, 65_000), false);
});
