// Which sync measurements are reported to the server.

import assert from 'node:assert/strict';
import test from 'node:test';
import { differsEnough, startSyncReporter } from '../../../static/js/net/sync-reporter.js';
import { createStore } from '../../../static/js/store.js';
import { settlePromises } from '../support/promises.mjs';
import { playing, room } from '../support/rooms.mjs';

const REPORT = { offMs: 1, roundTripMs: 5, latencyMs: 40, needsMs: 80, waitsForTap: false, pausedAlone: false, kind: 'a' };
for (const [name, reported, current, isNew] of [
  ['the first report', null, REPORT, true],
  ['an unchanged report', REPORT, REPORT, false],
  ['a small sync error change', REPORT, { ...REPORT, offMs: 2 }, false],
  ['a large sync error change', REPORT, { ...REPORT, offMs: -9 }, true],
  ['a phone that falls silent', REPORT, { ...REPORT, offMs: null }, true],
  ['a phone that needs a tap', REPORT, { ...REPORT, waitsForTap: true }, true],
  ['a phone that is paused alone', REPORT, { ...REPORT, pausedAlone: true }, true],
  ['another kind of output', REPORT, { ...REPORT, kind: 'b' }, true],
  ['a slower network', REPORT, { ...REPORT, needsMs: 200 }, true],
]) {
  test(`${name} is ${isNew ? '' : 'not '}reported to the server`, () => assert.equal(differsEnough(reported, current), isNew));
}

for (const [name, roomState, expected] of /** @type {[string, any, (number | null)[]][]} */ ([
  ['the end of the sound is reported at once while the room plays', playing(0), [1, null]],
  ['the end of the sound at a pause is reported after the interval', room(), [1]],
])) {
  test(name, async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    /** @type {(number | null)[]} */
    const reported = [];
    t.mock.method(globalThis, 'fetch', async (/** @type {string} */ _, /** @type {any} */ { body }) => {
      reported.push(JSON.parse(body).offMs);
      return new Response(null, { status: 204 });
    });
    const sound = { isLocked: false, isSounding: true };
    const store = createStore(/** @type {any} */ ({ connection: 'open', settings: { isRemoteControl: false }, room: roomState, sound }));
    startSyncReporter({ store, getReport: () => ({ ...REPORT, offMs: store.get().sound.isSounding ? 1 : null }) });
    store.update({ settings: { ...store.get().settings } });
    await settlePromises();
    store.update({ sound: { ...store.get().sound, isSounding: false } });
    await settlePromises();
    assert.deepEqual(reported, expected);
    t.mock.timers.tick(5_000);
    await settlePromises();
    assert.deepEqual(reported, [1, null]);
  });
}

test('a tab reports nothing while another tab of the phone sounds', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { mock } = t.mock.method(globalThis, 'fetch', async () => new Response(null, { status: 204 }));
  const sound = { isLocked: false, isSounding: false };
  const store = createStore(/** @type {any} */ ({ connection: 'open', settings: { isRemoteControl: false }, room: room(), sound, isOtherTabSounding: true }));
  startSyncReporter({ store, getReport: () => REPORT });
  store.update({ sound: { ...sound } });
  await settlePromises();
  assert.equal(mock.callCount(), 0);
  store.update({ isOtherTabSounding: false });
  await settlePromises();
  assert.equal(mock.callCount(), 1);
});

/** A reporter whose requests are answered by the test, and what it has sent. @param {import('node:test').TestContext} t */
function startWithPendingRequests(t) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  /** @type {boolean[]} */
  const sent = [];
  /** @type {{resolve: (response: Response) => void, reject: (error: Error) => void}[]} */
  const requests = [];
  t.mock.method(globalThis, 'fetch', (/** @type {string} */ _, /** @type {any} */ { body }) => {
    sent.push(JSON.parse(body).waitsForTap);
    return new Promise((resolve, reject) => requests.push({ resolve, reject }));
  });
  const sound = { isLocked: true, isSounding: false };
  const store = createStore(/** @type {any} */ ({ connection: 'open', settings: { isRemoteControl: false }, room: room(), sound }));
  startSyncReporter({ store, getReport: () => ({ ...REPORT, waitsForTap: store.get().sound.isLocked }) });
  const setLocked = (/** @type {boolean} */ isLocked) => store.update({ sound: { ...store.get().sound, isLocked } });
  return { sent, requests, setLocked };
}

test('a report is sent after the previous one has been answered', async (t) => {
  const { sent, requests, setLocked } = startWithPendingRequests(t);
  setLocked(true);
  setLocked(false);
  await settlePromises();
  assert.deepEqual(sent, [true]);
  requests[0]?.resolve(new Response(null, { status: 204 }));
  await settlePromises();
  assert.deepEqual(sent, [true, false]);
});

test('a lost report is repeated after the interval', async (t) => {
  const { sent, requests, setLocked } = startWithPendingRequests(t);
  setLocked(false);
  requests[0]?.reject(new TypeError('network error'));
  await settlePromises();
  assert.deepEqual(sent, [false]);
  t.mock.timers.tick(5_000);
  await settlePromises();
  assert.deepEqual(sent, [false, false]);
});
