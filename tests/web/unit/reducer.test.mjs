// The room after snapshots, durable events and live events.

import assert from 'node:assert/strict';
import test from 'node:test';
import { applyMessage } from '../../../static/js/room/reducer.js';
import { validSegue } from '../../../static/js/room/selectors.js';
import { barrier, playing, room } from '../support/rooms.mjs';

const message = (event, eventCount, payload = {}) => ({ event, eventCount, payload });

test('a snapshot replaces the room even if its event count is lower', () => {
  const { anchorArrivedMs, ...snapshot } = room({ eventCount: 3 });
  const next = applyMessage(room({ eventCount: 99 }), message('snapshot', 3, snapshot), 0);
  assert.deepEqual(next, room({ eventCount: 3 }));
});

test('a durable event applies its patch and its event count', () => {
  const patch = [{ op: 'move', from: '/queue/4', path: '/queue/2' }];
  const next = applyMessage(room(), message('queue.nudged', 8, { patch, trackId: 'e' }), 0);
  assert.equal(next.eventCount, 8);
  assert.deepEqual(next.queue, ['a', 'b', 'e', 'c', 'd']);
});

test('an event that was applied before leaves the room unchanged', () => {
  const before = room();
  const repeated = message('queue.nudged', 7, { patch: [{ op: 'remove', path: '/queue/0' }] });
  assert.equal(applyMessage(before, repeated, 0), before);
});

test('an event after a gap in the event count or an inapplicable patch returns null', () => {
  assert.equal(applyMessage(room(), message('queue.nudged', 9, { patch: [] }), 0), null);
  assert.equal(applyMessage(room(), message('queue.nudged', 8, { patch: [{ op: 'remove', path: '/queue/9' }] }), 0), null);
  assert.equal(applyMessage(room(), message('presence', 8, { listeners: {} }), 0), null);
});

test('a patch cannot change the live state', () => {
  const patch = [{ op: 'replace', path: '/live', value: {} }];
  assert.equal(applyMessage(room(), message('queue.nudged', 8, { patch }), 0), null);
});

test('a barrier release sets the anchor time and the arrival time', () => {
  const patch = [
    { op: 'replace', path: '/playState/mode', value: 'playing' },
    { op: 'replace', path: '/barrier', value: null },
  ];
  const payload = { patch, trackId: 'b', anchorPositionSec: 0, anchorAtMs: 5000 };
  const next = applyMessage(room({ barrier: barrier() }), message('barrier.release', 8, payload), 123);
  assert.equal(next.live.anchorAtMs, 5000);
  assert.equal(next.anchorArrivedMs, 123);
  assert.equal(next.barrier, null);
});

for (const event of ['playback.paused', 'playback.parked', 'barrier.opened', 'queue.advanced']) {
  test(`${event} clears the anchor time and the arrival time`, () => {
    const next = applyMessage(playing(5000, { anchorArrivedMs: 1 }), message(event, 8, { patch: [] }), 2);
    assert.equal(next.live.anchorAtMs, null);
    assert.equal(next.anchorArrivedMs, null);
  });
}

test('a seek in a paused room sets no arrival time', () => {
  const patch = [{ op: 'replace', path: '/playState/anchorPositionSec', value: 30 }];
  const next = applyMessage(room(), message('playback.seeked', 8, { patch, anchorAtMs: null }), 2);
  assert.equal(next.playState.anchorPositionSec, 30);
  assert.equal(next.anchorArrivedMs, null);
});

test('a nudge keeps the anchor time and the arrival time', () => {
  const next = applyMessage(playing(5000, { anchorArrivedMs: 1 }), message('queue.nudged', 8, { patch: [] }), 2);
  assert.equal(next.live.anchorAtMs, 5000);
  assert.equal(next.anchorArrivedMs, 1);
});

test('presence replaces the live state, outdated presence only the listeners', () => {
  const listeners = { m1: { role: 'listener', download: null, playable: true } };
  const payload = { anchorAtMs: 1, segue: null, listeners };
  assert.deepEqual(applyMessage(playing(5000), message('presence', 7, payload), 0).live, payload);
  const liveAfterOutdated = applyMessage(playing(5000), message('presence', 6, payload), 0).live;
  assert.deepEqual(liveAfterOutdated, { anchorAtMs: 5000, segue: null, listeners });
});

test('a segue is valid only for the event count it came with', () => {
  const announced = applyMessage(playing(0), message('segue', 7, { trackId: 'c', anchorAtMs: 9000, gainDb: -3 }), 0);
  assert.deepEqual(validSegue(announced), { trackId: 'c', anchorAtMs: 9000, gainDb: -3, eventCount: 7 });
  const later = applyMessage(announced, message('client.paired', 8, { patch: [] }), 0);
  assert.equal(validSegue(later), null);
});
