// The player's next plan, decided from the goal and the player's report.

import assert from 'node:assert/strict';
import test from 'node:test';
import { INITIAL_STATE, decide } from '../../../static/js/sound/align.js';
import { PREDICTED_KEY_SUFFIX, anchorKey, goalFor, positionAt } from '../../../static/js/sound/goal.js';
import { barrier, playing, room } from '../support/rooms.mjs';

const OFFSET_MS = 1_000;

function goal(overrides = {}) {
  return goalFor({ room: playing(6_000), offsetMs: OFFSET_MS, isRemoteControl: false, isPlayable: () => true, predictedStart: null, delayMs: 0, ...overrides });
}

function report(overrides = {}) {
  return { trackId: null, phase: 'empty', isSettled: false, positionSec: 0, atMs: 0, plan: null, latencyMs: 60, leadMs: 130, trackChangeLatencyMs: 50, ...overrides };
}

const playingAt = (positionSec, atMs) => report({ trackId: 'b', phase: 'playing', isSettled: true, positionSec, atMs });

/** Asserts that `actual` has all fields of `expected`. */
function assertIncludes(actual, expected) {
  for (const [key, value] of Object.entries(expected)) assert.deepEqual(actual[key], value, key);
}

/** The plan of one alignment step. */
function planFor(targetGoal, playerReport, alignState, nowMs) {
  return decide(targetGoal, playerReport, alignState, nowMs).plan;
}

test('the plan for the player', async (t) => {
  const pausedAt = (positionSec) => room({ playState: { mode: 'paused', anchorPositionSec: positionSec } });
  const held = report({ trackId: 'b', phase: 'held', plan: { kind: 'hold', trackId: 'b', positionSec: 0 } });
  const stateWithSameGoal = { ...INITIAL_STATE, goalKey: goal().key };
  const stateAfterPredictedStart = { ...INITIAL_STATE, goalKey: `b${PREDICTED_KEY_SUFFIX}` };
  const stateWithOtherGoal = { ...INITIAL_STATE, goalKey: 'the key of another anchor' };
  /** [name, goal, the player's report, state of the alignment, time, expected plan] */
  const cases = [
    ['silences a playing player', { kind: 'silent' }, playingAt(1, 0), INITIAL_STATE, 0, 'silence'],
    ['no plan if the player is silent already', { kind: 'silent' }, report(), INITIAL_STATE, 0, null],
    ['no plan while the goal is unknown', { kind: 'unchanged' }, playingAt(1, 0), INITIAL_STATE, 0, null],
    ['holds at the anchor of a paused room', goal({ room: pausedAt(4) }), held, INITIAL_STATE, 0, { kind: 'hold', trackId: 'b', positionSec: 4 }],
    ['no plan if the player already holds at the anchor', goal({ room: pausedAt(0) }), held, INITIAL_STATE, 0, null],
    ['starts at the anchor if there is time', goal(), held, INITIAL_STATE, 4_900, { kind: 'start', positionSec: 0, atMs: 5_000 }],
    ['starts at the current position if the anchor has passed', goal(), held, INITIAL_STATE, 7_000, { kind: 'start', positionSec: 2.13, atMs: 7_130 }],
    ['starts the room’s track if another one plays', goal(), report({ trackId: 'x', phase: 'playing', isSettled: true }), stateWithSameGoal, 7_000, { kind: 'start', trackId: 'b' }],
    ['no plan if this start is already scheduled', goal(), report({ trackId: 'b', phase: 'starting', plan: { kind: 'start', trackId: 'b', positionSec: 2, atMs: 7_000 } }), stateWithSameGoal, 6_900, null],
    ['starts again if the anchor has moved during the start', goal({ room: playing(6_500) }), report({ trackId: 'b', phase: 'starting', plan: { kind: 'start', trackId: 'b', positionSec: 2, atMs: 7_000 } }), stateWithSameGoal, 6_900, { kind: 'start' }],
    ['no plan if the player is in sync', goal(), playingAt(2.03, 7_000), stateWithSameGoal, 7_000, null],
    ['no plan until the position has settled', goal(), { ...playingAt(1, 7_000), isSettled: false, plan: { kind: 'start', trackId: 'b', positionSec: 2, atMs: 7_000 } }, stateWithSameGoal, 7_000, null],
    ['starts at the new position after a seek', goal({ room: playing(1_000) }), playingAt(2, 7_000), stateWithSameGoal, 7_000, { kind: 'start', positionSec: 7.13 }],
    ['starts at the new position before the old one has settled', goal({ room: playing(1_000) }), { ...playingAt(2, 7_000), isSettled: false, plan: { kind: 'start', trackId: 'b', positionSec: 2, atMs: 7_000 } }, stateWithSameGoal, 7_000, { kind: 'start', positionSec: 7.13 }],
    ['no plan if a new anchor confirms the position', goal(), playingAt(2.03, 7_000), stateWithOtherGoal, 7_000, null],
    ['no plan if the server confirms a predicted start', goal(), playingAt(1.91, 7_000), stateAfterPredictedStart, 7_000, null],
    ['starts again if the server corrects a predicted start', goal(), playingAt(1.5, 7_000), stateAfterPredictedStart, 7_000, { kind: 'start' }],
    ['no plan at the end of the track', goal(), report({ trackId: 'b', phase: 'ended' }), stateWithSameGoal, 7_000, null],
    ['starts again after a seek back from the end', goal(), report({ trackId: 'b', phase: 'ended' }), stateWithOtherGoal, 7_000, { kind: 'start' }],
  ];
  for (const [name, targetGoal, playerReport, alignState, nowMs, expected] of cases) {
    await t.test(name, () => {
      const plan = planFor(targetGoal, playerReport, alignState, nowMs);
      if (expected === null || typeof expected === 'string') assert.equal(plan, expected);
      else assertIncludes(plan ?? {}, expected);
    });
  }
});

test('a persistent error causes a new start at most every five seconds', () => {
  let state = { ...INITIAL_STATE, goalKey: goal().key };
  const planTimesMs = [];
  for (let nowMs = 10_000; nowMs < 17_000; nowMs += 250) {
    // This player stays 300 ms behind, whatever its plan is.
    const step = decide(goal(), playingAt(positionAt(goal(), nowMs) - 0.3, nowMs), state, nowMs);
    state = step.state;
    if (step.plan) planTimesMs.push(nowMs);
  }
  assert.deepEqual(planTimesMs, [10_250, 15_250]);
});

test('a single wrong position is not corrected', () => {
  let state = { ...INITIAL_STATE, goalKey: goal().key };
  for (const [nowMs, errorSec] of [[10_000, 0.3], [10_250, 0], [10_500, -0.3], [10_750, 0.01]]) {
    const step = decide(goal(), playingAt(positionAt(goal(), nowMs) + errorSec, nowMs), state, nowMs);
    assert.equal(step.plan, null);
    state = step.state;
  }
});

test('a brief barrier is ignored, and a longer one holds the player', () => {
  const barrierGoal = goal({ room: room({ barrier: barrier() }) });
  let { plan, state } = decide(barrierGoal, playingAt(3, 1_000), INITIAL_STATE, 1_000);
  assert.equal(plan, null);
  ({ plan, state } = decide(barrierGoal, playingAt(3.5, 1_500), state, 1_500));
  assert.equal(plan, null);
  ({ plan } = decide(barrierGoal, playingAt(3.8, 1_800), state, 1_800));
  assert.deepEqual(plan, { kind: 'hold', trackId: 'b', positionSec: 0 });
});

test('a predicted start up to 100 ms late begins at position 0', () => {
  const predictedStart = { trackId: 'c', previousTrackId: 'b', anchorKey: anchorKey(playing(6_000)), atMs: 9_000 };
  const ended = report({ trackId: 'b', phase: 'ended' });
  assertIncludes(planFor(goal({ predictedStart }), ended, INITIAL_STATE, 9_040), { trackId: 'c', positionSec: 0, atMs: 9_090 });
  assertIncludes(planFor(goal({ predictedStart }), ended, INITIAL_STATE, 9_600), { trackId: 'c', positionSec: 0.65, atMs: 9_650 });
  assertIncludes(planFor(goal({ predictedStart }), ended, INITIAL_STATE, 8_000), { trackId: 'c', positionSec: 0, atMs: 9_000, isImmediate: false });
});

test('the events that confirm a predicted start do not change it', () => {
  const predictedStart = { trackId: 'c', previousTrackId: 'b', anchorKey: anchorKey(playing(6_000)), atMs: 9_000 };
  let { plan, state } = decide(goal({ predictedStart }), report({ trackId: 'b', phase: 'ended' }), INITIAL_STATE, 9_040);
  const starting = report({ trackId: 'c', phase: 'starting', plan });
  const nextTrack = { queueIndex: 2 };
  for (const confirmingRoom of [room(nextTrack), room({ ...nextTrack, barrier: barrier({ trackId: 'c' }) }), playing(10_000, nextTrack)]) {
    ({ plan, state } = decide(goal({ room: confirmingRoom }), starting, state, 9_060));
    assert.equal(plan, null);
  }
  ({ plan } = decide(goal({ room: playing(10_000, nextTrack) }), { ...playingAt(0.39, 9_450), trackId: 'c' }, state, 9_450));
  assert.equal(plan, null);
});
