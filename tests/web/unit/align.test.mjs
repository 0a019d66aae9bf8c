import assert from 'node:assert/strict';
import test from 'node:test';
import {
  FRESH, anchorKey, anchorMoment, decide, goalOf, isOver, overlayHolds, positionAt, roomPosition,
} from '../../../static/js/align.js';
import { barrier, playing, room } from '../support/rooms.mjs';

const OFFSET_MS = 1_000;

function goal(over = {}) {
  return goalOf({ room: playing(6_000), offsetMs: OFFSET_MS, silent: false, playable: () => true, overlay: null, delayMs: 0, ...over });
}

function report(over = {}) {
  return { trackId: null, phase: 'empty', settled: false, positionSec: 0, atMs: 0, plan: null, latencyMs: 60, leadMs: 130, changeMs: 50, ...over };
}

const heard = (positionSec, atMs) => report({ trackId: 'b', phase: 'playing', settled: true, positionSec, atMs });

test('what the room wants', async (t) => {
  const overlay = { trackId: 'c', after: 'b', anchorKey: anchorKey(playing(6_000)), atMs: 9_000 };
  const cases = [
    ['a remote control is silent', { silent: true }, { kind: 'silent' }],
    ['an empty room is silent', { room: room({ queue: [], queueIndex: 0 }) }, { kind: 'silent' }],
    ['what is not here, or not playable, is silent', { playable: () => false }, { kind: 'silent' }],
    ['paused, it holds at the anchor', { room: room({ playState: { mode: 'paused', anchorPositionSec: 4 } }) }, { kind: 'hold', trackId: 'b', positionSec: 4, brief: false }],
    ['waiting, it holds, perhaps briefly', { room: room({ barrier: barrier() }) }, { kind: 'hold', trackId: 'b', positionSec: 0, brief: true }],
    ['playing, it is on the anchor’s line', {}, { kind: 'play', trackId: 'b', positionSec: 0, atMs: 5_000 }],
    ['a slow speaker is ahead of it', { delayMs: 80 }, { kind: 'play', atMs: 4_920 }],
    ['without a clock it waits', { offsetMs: null }, { kind: 'asIs' }],
    ['playing for nobody yet, it waits', { room: playing(null) }, { kind: 'asIs' }],
    ['without anchors on the wire it goes by the event’s arrival', { room: playing(null, { arrivedMs: 77 }) }, { kind: 'play', atMs: 77 }],
    ['at the end, the next track goes ahead', { overlay }, { kind: 'play', trackId: 'c', atMs: 9_000, confirmed: true }],
    ['but not after another anchor', { overlay: { ...overlay, anchorKey: 'other' } }, { kind: 'play', trackId: 'b' }],
  ];
  for (const [name, over, want] of cases) {
    await t.test(name, () => includes(goal(over), want));
  }
});

/** Every field of `want` is the same in `is`. */
function includes(is, want) {
  for (const [key, value] of Object.entries(want)) assert.deepEqual(is[key], value, key);
}

/** What is told in one look, given what was remembered. */
function told(want, is, memory, nowMs) {
  return decide(want, is, memory, nowMs).plan;
}

test('what the player is told', async (t) => {
  const at = (positionSec, extra = {}) => room({ playState: { mode: 'paused', anchorPositionSec: positionSec }, ...extra });
  const held = report({ trackId: 'b', phase: 'held', plan: { kind: 'hold', trackId: 'b', positionSec: 0 } });
  const known = { ...FRESH, key: goal().key };
  const cases = [
    ['to be silent, once', { kind: 'silent' }, heard(1, 0), FRESH, 0, 'silence'],
    ['nothing, when it is silent already', { kind: 'silent' }, report(), FRESH, 0, null],
    ['nothing, when nobody knows better', { kind: 'asIs' }, heard(1, 0), FRESH, 0, null],
    ['to hold at the anchor', goal({ room: at(4) }), held, FRESH, 0, { kind: 'hold', trackId: 'b', positionSec: 4 }],
    ['to hold once only', goal({ room: at(0) }), held, FRESH, 0, null],
    ['to start at the anchor, when that is ahead', goal(), held, FRESH, 4_900, { kind: 'start', positionSec: 0, atMs: 5_000 }],
    ['to start at the running position, when it is late', goal(), held, FRESH, 7_000, { kind: 'start', positionSec: 2.13, atMs: 7_130 }],
    ['to start another track than the loaded one', goal(), report({ trackId: 'x', phase: 'playing', settled: true }), known, 7_000, { kind: 'start', trackId: 'b' }],
    ['nothing, when it is about to start there', goal(), report({ trackId: 'b', phase: 'starting', plan: { kind: 'start', trackId: 'b', positionSec: 2, atMs: 7_000 } }), known, 6_900, null],
    ['to start elsewhere, when the anchor moved meanwhile', goal({ room: playing(6_500) }), report({ trackId: 'b', phase: 'starting', plan: { kind: 'start', trackId: 'b', positionSec: 2, atMs: 7_000 } }), known, 6_900, { kind: 'start' }],
    ['nothing, when it is in step', goal(), heard(2.03, 7_000), known, 7_000, null],
    ['nothing, when it has not settled', goal(), { ...heard(1, 7_000), settled: false, plan: { kind: 'start', trackId: 'b', positionSec: 2, atMs: 7_000 } }, known, 7_000, null],
    ['to go there, after a seek', goal({ room: playing(1_000) }), heard(2, 7_000), known, 7_000, { kind: 'start', positionSec: 7.13 }],
    ['to go there, even before it has settled', goal({ room: playing(1_000) }), { ...heard(2, 7_000), settled: false, plan: { kind: 'start', trackId: 'b', positionSec: 2, atMs: 7_000 } }, known, 7_000, { kind: 'start', positionSec: 7.13 }],
    ['nothing, when a new anchor confirms where it is', goal(), heard(2.03, 7_000), { ...FRESH, key: 'another' }, 7_000, null],
    ['nothing, when a release confirms a start ahead of it', goal(), heard(1.91, 7_000), { ...FRESH, key: 'b ahead' }, 7_000, null],
    ['to be right, when a release corrects a start ahead of it', goal(), heard(1.5, 7_000), { ...FRESH, key: 'b ahead' }, 7_000, { kind: 'start' }],
    ['nothing at its end', goal(), report({ trackId: 'b', phase: 'ended' }), known, 7_000, null],
    ['to come back from its end, after a seek', goal(), report({ trackId: 'b', phase: 'ended' }), { ...FRESH, key: 'another' }, 7_000, { kind: 'start' }],
  ];
  for (const [name, want, is, memory, nowMs, plan] of cases) {
    await t.test(name, () => {
      const got = told(want, is, memory, nowMs);
      if (plan === null || typeof plan === 'string') assert.equal(got, plan);
      else includes(got ?? {}, plan);
    });
  }
});

test('a gross error is corrected at the second look, and then not for five seconds', () => {
  let memory = { ...FRESH, key: goal().key };
  const plans = [];
  for (let nowMs = 10_000; nowMs < 17_000; nowMs += 250) {
    // A player that stays 300 ms behind, whatever it is told.
    const look = decide(goal(), heard(positionAt(goal(), nowMs) - 0.3, nowMs), memory, nowMs);
    memory = look.memory;
    if (look.plan) plans.push(nowMs);
  }
  assert.deepEqual(plans, [10_250, 15_250]);
});

test('one wrong look corrects nothing', () => {
  let memory = { ...FRESH, key: goal().key };
  for (const [nowMs, errorSec] of [[10_000, 0.3], [10_250, 0], [10_500, -0.3], [10_750, 0.01]]) {
    const look = decide(goal(), heard(positionAt(goal(), nowMs) + errorSec, nowMs), memory, nowMs);
    assert.equal(look.plan, null);
    memory = look.memory;
  }
});

test('a barrier that ends at once is not heard, and one that lasts is silent', () => {
  const want = goal({ room: room({ barrier: barrier() }) });
  let { plan, memory } = decide(want, heard(3, 1_000), FRESH, 1_000);
  assert.equal(plan, null);
  ({ plan, memory } = decide(want, heard(3.5, 1_500), memory, 1_500));
  assert.equal(plan, null);
  ({ plan } = decide(want, heard(3.8, 1_800), memory, 1_800));
  assert.deepEqual(plan, { kind: 'hold', trackId: 'b', positionSec: 0 });
});

test('a promised track starts at its first note if a little late, and else where it should be', () => {
  const overlay = { trackId: 'c', after: 'b', anchorKey: anchorKey(playing(6_000)), atMs: 9_000 };
  const ended = report({ trackId: 'b', phase: 'ended' });
  includes(told(goal({ overlay }), ended, FRESH, 9_040), { trackId: 'c', positionSec: 0, atMs: 9_090 });
  includes(told(goal({ overlay }), ended, FRESH, 9_600), { trackId: 'c', positionSec: 0.65, atMs: 9_650 });
  includes(told(goal({ overlay }), ended, FRESH, 8_000), { trackId: 'c', positionSec: 0, atMs: 9_000, atOnce: false });
});

test('a start ahead of the server’s word outlives the events that confirm it', () => {
  const overlay = { trackId: 'c', after: 'b', anchorKey: anchorKey(playing(6_000)), atMs: 9_000 };
  let { plan, memory } = decide(goal({ overlay }), report({ trackId: 'b', phase: 'ended' }), FRESH, 9_040);
  const starting = report({ trackId: 'c', phase: 'starting', plan });
  const advanced = { queueIndex: 2 };
  for (const now of [room(advanced), room({ ...advanced, barrier: barrier({ trackId: 'c' }) }), playing(10_000, advanced)]) {
    ({ plan, memory } = decide(goal({ room: now }), starting, memory, 9_060));
    assert.equal(plan, null);
  }
  ({ plan } = decide(goal({ room: playing(10_000, advanced) }), { ...heard(0.39, 9_450), trackId: 'c' }, memory, 9_450));
  assert.equal(plan, null);
});

test('an overlay ends when the room moves on', () => {
  const overlay = { trackId: 'c', after: 'b', anchorKey: anchorKey(playing(6_000)), atMs: 9_000 };
  assert.equal(overlayHolds(overlay, playing(6_000)), true);
  assert.equal(overlayHolds(overlay, playing(6_000, { eventCount: 8, clients: {} })), true);
  assert.equal(overlayHolds(overlay, playing(6_001)), false);
  assert.equal(overlayHolds(overlay, playing(6_000, { queueIndex: 2 })), false);
});

test('the needle for the eye stays within the track', () => {
  const at = (nowMs) => roomPosition(playing(6_000), OFFSET_MS, nowMs, 60);
  assert.deepEqual([at(4_000), at(5_000), at(15_000), at(500_000)], [0, 0, 10, 60]);
  assert.equal(roomPosition(room({ playState: { mode: 'paused', anchorPositionSec: 9 } }), 0, 99_999, 60), 9);
  assert.equal(roomPosition(playing(null), 0, 99_999, 60), 0);
});

test('nothing moves while a barrier is open', () => {
  assert.equal(anchorMoment(playing(6_000, { barrier: barrier() }), 0), null);
});

test('a track is over by the clock, if its length is known', () => {
  assert.equal(isOver(goal(), 60, 64_000), false);
  assert.equal(isOver(goal(), 60, 65_000), true);
  assert.equal(isOver(goal(), 0, 65_000), false);
  assert.equal(isOver({ kind: 'silent' }, 60, 65_000), false);
});
