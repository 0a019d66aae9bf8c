// Values derived from a room.

import assert from 'node:assert/strict';
import test from 'node:test';
import {
  currentTrackId, isOtherPhoneSounding, memberName, nextUpId, percent, queueFromCurrent, trackIdAfter, awaitedMemberIds, isPlayingOrStarting,
} from '../../../static/js/room/selectors.js';
import { barrier, playing, room } from '../support/rooms.mjs';

test('another phone sounds if it is a listener that reports a sync error', () => {
  const sounding = { role: 'listener', download: null, playable: true, sync: { offMs: 0, waitsForTap: false } };
  const isSounding = (/** @type {object} */ listeners) => isOtherPhoneSounding(/** @type {any} */ (room({ live: { anchorAtMs: 1, segue: null, listeners } })), 'm1');
  assert.equal(isSounding({ m1: sounding }), false);
  assert.equal(isSounding({ m1: sounding, m2: sounding }), true);
  for (const change of [{ role: 'remote' }, { playable: false }, { sync: undefined }, { sync: { offMs: null, waitsForTap: false } }, { sync: { offMs: 0, waitsForTap: true } }]) {
    assert.equal(isSounding({ m2: { ...sounding, ...change } }), false);
  }
});

test('the queue is circular and starts with the current track', () => {
  const roomAt = (queueIndex, queue = ['a', 'b', 'c']) => room({ queue, queueIndex });
  assert.deepEqual(queueFromCurrent(roomAt(2)), ['c', 'a', 'b']);
  assert.equal(currentTrackId(roomAt(2)), 'c');
  assert.equal(nextUpId(roomAt(2)), 'a');
  assert.equal(trackIdAfter(roomAt(2), 'b'), 'c');
  assert.equal(nextUpId(roomAt(0, ['a'])), null);
  assert.equal(trackIdAfter(roomAt(0, ['a']), 'a'), 'a');
  assert.equal(currentTrackId(roomAt(0, [])), null);
  assert.equal(nextUpId(roomAt(0, [])), null);
});

test('the room waits for the barrier members that are not ready', () => {
  assert.deepEqual(awaitedMemberIds(room({ barrier: barrier() })), ['m2']);
  assert.deepEqual(awaitedMemberIds(room()), []);
});

test('a room with an open barrier counts as playing or starting', () => {
  assert.equal(isPlayingOrStarting(room()), false);
  assert.equal(isPlayingOrStarting(room({ barrier: barrier() })), true);
  assert.equal(isPlayingOrStarting(playing(0)), true);
});

test('a member without a name is called by its number', () => {
  assert.equal(memberName(room(), 'm1'), 'Ada');
  assert.equal(memberName(room(), 'm2'), 'Phone 2');
  assert.equal(memberName(room(), 'm12'), 'Phone 12');
});

test('percent is whole, and 100 only for a complete download', () => {
  assert.deepEqual([percent(0, 10), percent(999, 1000), percent(10, 10), percent(3, 0)], [0, 99, 100, 0]);
});
