// The report of a track's end to the server.

import assert from 'node:assert/strict';
import test from 'node:test';
import { createNextRequest } from '../../../static/js/sound/next-request.js';
import { createStore } from '../../../static/js/store.js';
import { settlePromises } from '../support/promises.mjs';
import { playing, room } from '../support/rooms.mjs';

/**
 * Opens a phone whose server answers with these statuses, one after the other.
 * @param {any} t
 * @param {number[]} statuses
 */
function openPhone(t, ...statuses) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  /** @type {unknown[]} */
  const requests = [];
  t.mock.method(globalThis, 'fetch', async (/** @type {string} */ path, /** @type {any} */ { headers, body }) => {
    requests.push([path, JSON.parse(body), headers['If-Match-Event']]);
    return Response.json({ eventCount: 99, expectedEventCount: 7 + 2 * requests.length }, { status: statuses.shift() ?? 200 });
  });
  const store = createStore(/** @type {any} */ ({ room: playing(1_000) }));
  return { store, requests, requestNext: createNextRequest(store) };
}

const ENDED = ['./next', { ended: 'b' }, '7'];

test('the end of a track is reported once, with the track', async (t) => {
  const { requests, requestNext } = openPhone(t);
  await requestNext();
  await requestNext();
  assert.deepEqual(requests, [ENDED]);
});

test('a report for an older state is repeated until the track changes', async (t) => {
  const { store, requests, requestNext } = openPhone(t, 409, 409);
  const reported = requestNext();
  await settlePromises();
  store.update({ room: playing(1_000, { eventCount: 9 }) });
  await settlePromises();
  assert.deepEqual(requests, [ENDED, ['./next', { ended: 'b' }, '9']]);
  store.update({ room: playing(2_000, { eventCount: 12, queueIndex: 2 }) });
  await reported;
  assert.equal(requests.length, 2);
});

test('a file that ends early is skipped as by a press', async (t) => {
  const { requests, requestNext } = openPhone(t, 422, 200);
  await requestNext();
  assert.deepEqual(requests, [ENDED, ['./next', {}, '7']]);
});

test('a failed report can be repeated a second later', async (t) => {
  const { requests, requestNext } = openPhone(t, 503, 200);
  await requestNext();
  await requestNext();
  assert.equal(requests.length, 1);
  t.mock.timers.tick(1_000);
  await requestNext();
  assert.deepEqual(requests, [ENDED, ENDED]);
});

test('no end is reported while the room is paused', async (t) => {
  const { store, requests, requestNext } = openPhone(t);
  store.update(/** @type {any} */ ({ room: room() }));
  await requestNext();
  assert.deepEqual(requests, []);
});
