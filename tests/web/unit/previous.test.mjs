// Previous: the track before in the first seconds of a track, the beginning of the track later.

import assert from 'node:assert/strict';
import test from 'node:test';
import { createPrevious } from '../../../static/js/app/previous.js';
import { room as roomWith } from '../support/rooms.mjs';

/** The command that Previous sends at a position. */
function commandAt(/** @type {number} */ positionSec) {
  const room = roomWith({ playState: { mode: 'paused', anchorPositionSec: positionSec, anchorAtMs: null } });
  const state = /** @type {any} */ ({ room, pendingCommands: [], sound: { predictedStart: null }, index: new Map(), clock: null });
  /** @type {unknown} */
  let command = null;
  createPrevious(/** @type {any} */ ({ get: () => state }), (makeCommand) => (command = makeCommand(room)))();
  return command;
}

test('in the first 5 s, Previous goes to the track before', () => {
  assert.deepEqual(commandAt(0), { name: 'previous' });
  assert.deepEqual(commandAt(4.9), { name: 'previous' });
});

test('from 5 s on, Previous goes to the beginning of the track', () => {
  assert.deepEqual(commandAt(5), { name: 'seek', positionSec: 0 });
  assert.deepEqual(commandAt(60), { name: 'seek', positionSec: 0 });
});
