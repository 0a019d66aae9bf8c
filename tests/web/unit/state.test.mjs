import assert from 'node:assert/strict';
import test from 'node:test';
import {
  currentTrack, fold, listenerRows, memberName, nextUp, pairedRows, percent, ringOrder, segueNow, trackAfter, waitedFor, wantsToPlay,
} from '../../../static/js/state.js';
import { barrier, playing, room } from '../support/rooms.mjs';

const message = (event, eventCount, payload = {}) => ({ event, eventCount, payload });

test('a snapshot takes the place of whatever was known', () => {
  const { arrivedMs, ...snapshot } = room({ eventCount: 3 });
  assert.deepEqual(fold(room({ eventCount: 99 }), message('snapshot', 3, snapshot), 0), room({ eventCount: 3 }));
});

test('an event moves the room on by its patch', () => {
  const patch = [{ op: 'move', from: '/queue/4', path: '/queue/2' }];
  const next = fold(room(), message('queue.nudged', 8, { patch, trackId: 'e' }), 0);
  assert.equal(next.eventCount, 8);
  assert.deepEqual(next.queue, ['a', 'b', 'e', 'c', 'd']);
});

test('an event that is known already changes nothing', () => {
  const before = room();
  assert.equal(fold(before, message('queue.nudged', 7, { patch: [{ op: 'remove', path: '/queue/0' }] }), 0), before);
});

test('a gap or a patch that does not fit asks for a fresh snapshot', () => {
  assert.equal(fold(room(), message('queue.nudged', 9, { patch: [] }), 0), null);
  assert.equal(fold(room(), message('queue.nudged', 8, { patch: [{ op: 'remove', path: '/queue/9' }] }), 0), null);
  assert.equal(fold(room(), message('presence', 8, { listeners: {} }), 0), null);
});

test('a patch cannot reach what is live', () => {
  const patch = [{ op: 'replace', path: '/live', value: {} }];
  assert.equal(fold(room(), message('queue.nudged', 8, { patch }), 0), null);
});

test('a release says where the needle is, and when it was heard of', () => {
  const patch = [
    { op: 'replace', path: '/playState/mode', value: 'playing' },
    { op: 'replace', path: '/barrier', value: null },
  ];
  const payload = { patch, trackId: 'b', anchorPositionSec: 0, anchorAtMs: 5000 };
  const next = fold(room({ barrier: barrier() }), message('barrier.release', 8, payload), 123);
  assert.equal(next.live.anchorAtMs, 5000);
  assert.equal(next.arrivedMs, 123);
  assert.equal(next.barrier, null);
});

for (const event of ['playback.paused', 'playback.parked', 'barrier.opened', 'queue.advanced']) {
  test(`after ${event} nothing moves`, () => {
    const next = fold(playing(5000, { arrivedMs: 1 }), message(event, 8, { patch: [] }), 2);
    assert.equal(next.live.anchorAtMs, null);
    assert.equal(next.arrivedMs, null);
  });
}

test('a seek in a paused room does not start it', () => {
  const patch = [{ op: 'replace', path: '/playState/anchorPositionSec', value: 30 }];
  const next = fold(room(), message('playback.seeked', 8, { patch, anchorAtMs: null }), 2);
  assert.equal(next.playState.anchorPositionSec, 30);
  assert.equal(next.arrivedMs, null);
});

test('a nudge leaves the needle where it is', () => {
  const next = fold(playing(5000, { arrivedMs: 1 }), message('queue.nudged', 8, { patch: [] }), 2);
  assert.equal(next.live.anchorAtMs, 5000);
  assert.equal(next.arrivedMs, 1);
});

test('presence brings all that is live, but an old one only the listeners', () => {
  const listeners = { m1: { role: 'listener', download: null, playable: true } };
  const payload = { anchorAtMs: 1, segue: null, listeners };
  assert.deepEqual(fold(playing(5000), message('presence', 7, payload), 0).live, payload);
  assert.deepEqual(fold(playing(5000), message('presence', 6, payload), 0).live, { anchorAtMs: 5000, segue: null, listeners });
});

test('a segue holds for the count that it came with', () => {
  const promised = fold(playing(0), message('segue', 7, { trackId: 'c', anchorAtMs: 9000 }), 0);
  assert.deepEqual(segueNow(promised), { trackId: 'c', anchorAtMs: 9000, eventCount: 7 });
  const paired = fold(promised, message('client.paired', 8, { patch: [] }), 0);
  assert.equal(segueNow(paired), null);
});

test('the ring goes once round from the current track', () => {
  const at = (queueIndex, queue = ['a', 'b', 'c']) => room({ queue, queueIndex });
  assert.deepEqual(ringOrder(at(2)), ['c', 'a', 'b']);
  assert.equal(currentTrack(at(2)), 'c');
  assert.equal(nextUp(at(2)), 'a');
  assert.equal(trackAfter(at(2), 'b'), 'c');
  assert.equal(nextUp(at(0, ['a'])), null);
  assert.equal(trackAfter(at(0, ['a']), 'a'), 'a');
  assert.equal(currentTrack(at(0, [])), null);
  assert.equal(nextUp(at(0, [])), null);
});

test('those are waited for who are members and not ready', () => {
  assert.deepEqual(waitedFor(room({ barrier: barrier() })), ['m2']);
  assert.deepEqual(waitedFor(room()), []);
});

test('an open barrier means that the room wants to play', () => {
  assert.equal(wantsToPlay(room()), false);
  assert.equal(wantsToPlay(room({ barrier: barrier() })), true);
  assert.equal(wantsToPlay(playing(0)), true);
});

test('a phone without a name is called by its number', () => {
  assert.equal(memberName(room(), 'm1'), 'Ada');
  assert.equal(memberName(room(), 'm2'), 'Phone 2');
  assert.equal(memberName(room(), 'm12'), 'Phone 12');
});

const listener = (over) => ({ role: 'listener', download: null, playable: true, ...over });
const fetching = (trackId) => ({ download: { trackId, receivedBytes: 43, size: 100 } });
const doings = [
  ['a remote control', listener({ role: 'remote' }), playing(0), 'remote'],
  ['one that cannot play it', listener({ playable: false }), playing(0), 'unable'],
  ['one that fetches the current track', listener(fetching('b')), room({ barrier: barrier() }), 'downloading'],
  ['one that fetches the next track while this one plays', listener(fetching('c')), playing(0), 'playing'],
  ['one that is waited for', listener(), room({ barrier: barrier({ ready: [] }) }), 'waiting'],
  ['one that is ready', listener(), room({ barrier: barrier({ ready: ['m1'] }) }), 'ready'],
  ['one in a paused room', listener(), room(), 'ready'],
  ['one in a playing room', listener(), playing(0), 'playing'],
];
for (const [name, is, where, doing] of doings) {
  test(`the list says of ${name}: ${doing}`, () => {
    const [row] = listenerRows({ ...where, live: { ...where.live, listeners: { m1: is } } }, 'm1', false);
    assert.equal(row.doing, doing);
    assert.equal(row.you, true);
    assert.equal(row.percent, doing === 'downloading' ? 43 : 0);
  });
}

test('of your own phone the list says that it waits for a tap while it does, where it would else play', () => {
  const listeners = { m1: listener(), m2: listener() };
  const doing = (where) =>
    listenerRows({ ...where, live: { ...where.live, listeners } }, 'm2', true).map((row) => row.doing);
  assert.deepEqual(doing(playing(0)), ['playing', 'locked']);
  assert.deepEqual(doing(room()), ['ready', 'ready']);
});

test('listeners come in the order of pairing', () => {
  const listeners = { m10: listener(), m2: listener(), m1: listener() };
  const rows = listenerRows(room({ live: { ...room().live, listeners } }), 'm2', false);
  assert.deepEqual(rows.map(({ member }) => member), ['m1', 'm2', 'm10']);
});

test('percent is whole, and 100 only at the end', () => {
  assert.deepEqual([percent(0, 10), percent(999, 1000), percent(10, 10), percent(3, 0)], [0, 99, 100, 0]);
});

test('who else is paired is told in the order of pairing, here or not', () => {
  const clients = Object.fromEntries(['m10', 'm2', 'm1', 'm3'].map((member) => [member, { name: member === 'm3' ? 'Cay' : '' }]));
  const listener = { role: 'remote', download: null, playable: true };
  const house = room({ clients, live: { anchorAtMs: null, segue: null, listeners: { m3: listener, m1: listener } } });
  assert.deepEqual(pairedRows(house, 'm1'), [
    { member: 'm2', name: 'Phone 2', here: false },
    { member: 'm3', name: 'Cay', here: true },
    { member: 'm10', name: 'Phone 10', here: false },
  ]);
});
