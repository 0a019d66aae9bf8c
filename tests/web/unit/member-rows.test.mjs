// The rows of the list of listeners and of the list of paired devices.

import assert from 'node:assert/strict';
import test from 'node:test';
import { memberRows, pairedRows } from '../../../static/js/room/member-rows.js';
import { barrier, playing, room } from '../support/rooms.mjs';

const listener = (overrides) => ({ role: 'listener', download: null, playable: true, ...overrides });
const downloading = (trackId) => ({ download: { trackId, receivedBytes: 43, size: 100 } });
const activities = [
  ['a remote control', listener({ role: 'remote' }), playing(0), 'remote'],
  ['a listener that cannot play the track', listener({ playable: false }), playing(0), 'unable'],
  ['a listener that downloads the current track', listener(downloading('b')), room({ barrier: barrier() }), 'downloading'],
  ['a listener downloading the next track', listener(downloading('c')), playing(0), 'playing'],
  ['a listener that the barrier waits for', listener(), room({ barrier: barrier({ ready: [] }) }), 'awaited'],
  ['a listener that is ready for the barrier', listener(), room({ barrier: barrier({ ready: ['m1'] }) }), 'ready'],
  ['a listener in a paused room', listener(), room(), 'ready'],
  ['a listener in a playing room', listener(), playing(0), 'playing'],
];
for (const [name, member, roomState, activity] of activities) {
  test(`${name} is listed as ${activity}`, () => {
    const [row] = memberRows({ ...roomState, live: { ...roomState.live, listeners: { m1: member } } }, 'm1', { waitsForTap: false });
    assert.equal(row.activity, activity);
    assert.equal(row.isThisPhone, true);
    assert.equal(row.downloadPercent, activity === 'downloading' ? 43 : 0);
  });
}

test('a locked phone is listed as locked instead of playing', () => {
  const listeners = { m1: listener(), m2: listener() };
  const activitiesIn = (roomState) =>
    memberRows({ ...roomState, live: { ...roomState.live, listeners } }, 'm2', { waitsForTap: true }).map((row) => row.activity);
  assert.deepEqual(activitiesIn(playing(0)), ['playing', 'silent']);
  assert.deepEqual(activitiesIn(room()), ['ready', 'ready']);
});

test('a phone that alone is paused is listed so on all phones', () => {
  const sync = { offMs: null, waitsForTap: true, pausedAlone: true };
  const listeners = { m1: listener({ sync }), m2: listener({ sync: { ...sync, pausedAlone: undefined } }), m3: listener() };
  const roomState = playing(0);
  const rows = memberRows({ ...roomState, live: { ...roomState.live, listeners } }, 'm3', { waitsForTap: true, pausedAlone: true });
  assert.deepEqual(rows.map(({ activity }) => activity), ['pausedAlone', 'silent', 'pausedAlone']);
});

test('listeners are listed in the order of pairing', () => {
  const listeners = { m10: listener(), m2: listener(), m1: listener() };
  const rows = memberRows(room({ live: { ...room().live, listeners } }), 'm2', { waitsForTap: false });
  assert.deepEqual(rows.map(({ memberId }) => memberId), ['m1', 'm2', 'm10']);
});

test('paired devices are listed in the order of pairing', () => {
  const clients = Object.fromEntries(['m10', 'm2', 'm1', 'm3'].map((member) => [member, { name: member === 'm3' ? 'Cay' : '' }]));
  const remote = { role: 'remote', download: null, playable: true };
  const connected = room({ clients, live: { anchorAtMs: null, segue: null, listeners: { m3: remote, m1: remote } } });
  assert.deepEqual(pairedRows(connected, 'm1'), [
    { memberId: 'm2', name: 'Phone 2', isConnected: false },
    { memberId: 'm3', name: 'Cay', isConnected: true },
    { memberId: 'm10', name: 'Phone 10', isConnected: false },
  ]);
});
