// The big screen: its slow movement, and the tracks that it lists.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { currentPicker, upcomingTracks } from '../../../static/js/room/upcoming.js';
import { driftAt } from '../../../static/js/ui/big-screen/drift.js';
import { isHeardHere, noteOf } from '../../../static/js/ui/big-screen/screen-note.js';
import { room } from '../support/rooms.mjs';

const HOUR_SEC = 3_600;

test('the content drifts within its margin, without visible steps', () => {
  for (let sec = 0; sec < 3 * HOUR_SEC; sec += 4) {
    const [from, to] = [driftAt(sec), driftAt(sec + 4)];
    for (const axis of /** @type {const} */ (['x', 'y'])) {
      assert.ok(Math.abs(from[axis]) <= 1.6, `${axis} is ${from[axis]} vmin at ${sec} s`);
      // One pixel of a display of 1080 lines has 0.093 vmin.
      assert.ok(Math.abs(to[axis] - from[axis]) < 0.093, `${axis} moves by ${to[axis] - from[axis]} vmin at ${sec} s`);
    }
  }
});

test('within an hour the content has been at many places', () => {
  const places = new Set();
  for (let sec = 0; sec < HOUR_SEC; sec += 60) {
    const { x, y } = driftAt(sec);
    places.add(`${x.toFixed(1)} ${y.toFixed(1)}`);
  }
  assert.ok(places.size > 40, `${places.size} places in 60 minutes`);
});

const picks = [{ trackId: 'c', by: 'm2', votes: [], pinned: false }, { trackId: 'd', by: 'm9', votes: [], pinned: false }];

test('picks with their members come first, then the ring', () => {
  assert.deepEqual(upcomingTracks(/** @type {any} */ (room({ picks })), 3), [
    { trackId: 'c', by: 'm2' },
    // Who picked it has left.
    { trackId: 'd', by: null },
    { trackId: 'e', by: null },
  ]);
});

test('the ring never lists the current track again', () => {
  assert.deepEqual(upcomingTracks(/** @type {any} */ (room()), 9).map(({ trackId }) => trackId), ['c', 'd', 'e', 'a']);
  assert.deepEqual(upcomingTracks(/** @type {any} */ (room({ queue: [], queueIndex: 0 })), 9), []);
});

test('who picked the current track is named while paired', () => {
  const pickerOf = (/** @type {object} */ change) => currentPicker(/** @type {any} */ (room(change)));
  assert.equal(pickerOf({ pickedBy: 'm1' }), 'm1');
  assert.equal(pickerOf({ pickedBy: 'm9' }), null);
  assert.equal(pickerOf({ pickedBy: null }), null);
  assert.equal(pickerOf({ pickedBy: 'm1', queue: [] }), null);
});

const sounding = { connection: 'open', settings: { isRemoteControl: false }, isPausedHere: false, isOtherTabSounding: false, movedTo: null, rooms: [], sound: { isLocked: false } };
const silences = /** @type {[string, object, string][]} */ ([
  ['paused alone', { isPausedHere: true }, 'paused on this phone'],
  ['another tab sounds', { isOtherTabSounding: true }, 'another tab has the sound'],
  ['the browser blocks sound', { sound: { isLocked: true } }, 'no sound here: tap to rejoin'],
]);

for (const [name, change, expected] of silences) {
  test(`a screen with sound says why it is silent: ${name}`, () => {
    const playing = /** @type {any} */ (room({ playState: { mode: 'playing', sinceMs: 0, positionSec: 0 } }));
    const state = /** @type {any} */ ({ ...sounding, ...change });
    assert.equal(noteOf(state, playing), expected);
    assert.equal(isHeardHere(state), false);
    assert.equal(noteOf({ ...state, settings: { isRemoteControl: true } }, playing), '');
    assert.deepEqual([isHeardHere(/** @type {any} */ (sounding)), noteOf(/** @type {any} */ (sounding), playing)], [true, '']);
  });
}
