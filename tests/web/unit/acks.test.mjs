// The acknowledgements of tracks: which are due, and how failed ones are repeated.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import test from 'node:test';
import { acksDue, startAcks } from '../../../static/js/tracks/acks.js';
import { createStore } from '../../../static/js/store.js';
import { settlePromises } from '../support/promises.mjs';
import { barrier, room } from '../support/rooms.mjs';

test('a failed acknowledgement is retried every second', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const requests = new EventTarget();
  const responses = [503, 'network failure', 200];
  let requestCount = 0;
  t.mock.method(globalThis, 'fetch', async (_, { body }) => {
    assert.deepEqual(JSON.parse(body), { trackId: 'b', playable: true });
    const response = responses[requestCount];
    requestCount += 1;
    setImmediate(() => requests.dispatchEvent(new Event(`request ${requestCount}`)));
    if (response === 'network failure') throw new TypeError('network failure');
    return Response.json({ eventCount: 8 }, { status: response });
  });
  const store = createStore(/** @type {any} */ ({
    room: null, memberId: 'm1', index: new Map(), readyTrackIds: new Set(['b']), unplayableReasons: new Map(), connection: 'open', settings: { isRemoteControl: false },
  }));
  startAcks(store);
  const steps = [() => store.update({ room: room() }), () => t.mock.timers.tick(1_000), () => t.mock.timers.tick(1_000)];
  for (const [stepIndex, step] of steps.entries()) {
    const requestSent = once(requests, `request ${stepIndex + 1}`);
    step();
    await requestSent;
    await new Promise(setImmediate);
  }
  t.mock.timers.tick(10_000);
  assert.equal(requestCount, 3);
});

/**
 * A phone that is ready for the current track `b`, and the bodies of its acknowledgements. The server answers with
 * `statuses`, one after the other, and then accepts.
 * @param {import('node:test').TestContext} t
 * @param {object} track the entry of `b` in the index
 * @param {number[]} [statuses]
 */
async function openAcknowledgingPhone(t, track, statuses = []) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  /** @type {object[]} */
  const bodies = [];
  t.mock.method(globalThis, 'fetch', async (/** @type {string} */ _, /** @type {any} */ { body }) => {
    bodies.push(JSON.parse(body));
    return Response.json({ eventCount: 8, expectedEventCount: 8 }, { status: statuses.shift() ?? 200 });
  });
  const index = new Map([['b', { trackId: 'b', version: 'v1', ...track }]]);
  const store = createStore(/** @type {any} */ ({
    room: null, memberId: 'm1', index, readyTrackIds: new Set(['b']), unplayableReasons: new Map(), connection: 'open', settings: { isRemoteControl: false },
  }));
  startAcks(store);
  /** @param {object} change */
  const update = async (change) => {
    store.update(change);
    await settlePromises();
  };
  await update({ room: room() });
  return { bodies, update, index: (/** @type {object} */ newTrack) => new Map([['b', { trackId: 'b', version: 'v1', ...newTrack }]]) };
}

const ACK = { trackId: 'b', playable: true };
const CORRECTED = { duration: 104, uncorrectedDuration: 100 };
const REPORT = { ...ACK, durationSec: 104 };

test('each acknowledgement of a track reports its corrected length', async (t) => {
  const phone = await openAcknowledgingPhone(t, CORRECTED);
  await phone.update({ connection: 'reconnecting' });
  await phone.update({ connection: 'open' });
  await phone.update({ index: phone.index(CORRECTED) });
  assert.deepEqual(phone.bodies, [REPORT, REPORT]);
  await phone.update({ index: phone.index({ ...CORRECTED, version: 'v2', duration: 105 }) });
  assert.deepEqual(phone.bodies.slice(2), [{ ...ACK, durationSec: 105 }]);
});

test('a length is reported once more if the contradiction appears after the acknowledgement', async (t) => {
  const phone = await openAcknowledgingPhone(t, { duration: 104 });
  for (let round = 0; round < 2; round += 1) {
    await phone.update({ index: phone.index(CORRECTED) });
    await phone.update({ index: phone.index({ duration: 104 }) });
  }
  assert.deepEqual(phone.bodies, [ACK, REPORT, REPORT]);
});

test('a length is reported again until the server has accepted it', async (t) => {
  const phone = await openAcknowledgingPhone(t, CORRECTED, [503, 409]);
  t.mock.timers.tick(1_000);
  await settlePromises();
  assert.deepEqual(phone.bodies, [REPORT, REPORT, REPORT]);
});

test('a phone that cannot play a track reports no length', async (t) => {
  const phone = await openAcknowledgingPhone(t, CORRECTED);
  await phone.update({ unplayableReasons: new Map([['b', 'format']]) });
  assert.deepEqual(phone.bodies.slice(1), [{ trackId: 'b', playable: false }]);
});

test('a tab acknowledges its tracks only while no other tab of the phone sounds', async (t) => {
  const phone = await openAcknowledgingPhone(t, {});
  await phone.update({ isOtherTabSounding: true, connection: 'reconnecting' });
  await phone.update({ connection: 'open' });
  assert.deepEqual(phone.bodies, [ACK]);
  await phone.update({ isOtherTabSounding: false });
  assert.deepEqual(phone.bodies, [ACK, ACK]);
});

const isOneOf = (...trackIds) => (trackId) => trackIds.includes(trackId);
/** [name, room, `isReadyOrUnplayable`, tracks acknowledged before, tracks to acknowledge now] */
const cases = [
  ['the current track and next-up are acknowledged once ready', room(), isOneOf('b', 'c', 'd'), [], ['b', 'c']],
  ['a track that is not ready is not acknowledged', room(), isOneOf('c'), [], ['c']],
  ['a track is acknowledged once on each connection', room(), isOneOf('b', 'c'), ['b', 'c'], []],
  ['a barrier that waits for this phone is acknowledged again', room({ barrier: barrier({ ready: [] }) }), isOneOf('b', 'c'), ['b', 'c'], ['b']],
  ['a barrier that counts this phone as ready is not acknowledged again', room({ barrier: barrier() }), isOneOf('b', 'c'), ['b', 'c'], []],
  ['a barrier without this phone is not acknowledged again', room({ barrier: barrier({ members: ['m2'], ready: [] }) }), isOneOf('b'), ['b'], []],
];
for (const [name, roomState, isReadyOrUnplayable, acknowledgedTracks, expectedIds] of cases) {
  test(name, () => {
    const due = acksDue({ room: roomState, memberId: 'm1', isReadyOrUnplayable, acknowledgedTracks: new Set(acknowledgedTracks) });
    assert.deepEqual(due, expectedIds);
  });
}
