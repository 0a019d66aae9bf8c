// What was played and the playlists, loaded from a simulated server.

import assert from 'node:assert/strict';
import test from 'node:test';
import { createHistory, createPlaylists } from '../../../static/js/net/history.js';
import { createMessageHandler } from '../../../static/js/net/room-messages.js';
import { createStore } from '../../../static/js/store.js';
import { settlePromises } from '../support/promises.mjs';
import { room } from '../support/rooms.mjs';

const entries = (/** @type {number} */ newest, /** @type {number} */ oldest) => Array.from({ length: newest - oldest + 1 }, (_, i) => ({ id: String(newest - i), trackId: 'a' }));

/**
 * @param {import('node:test').TestContext} t
 * @param {(path: string) => unknown} respond
 */
function setUp(t, respond) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  /** @type {string[]} */
  const paths = [];
  t.mock.method(globalThis, 'fetch', async (/** @type {string} */ path) => {
    paths.push(path);
    return respond(path);
  });
  const store = createStore(/** @type {any} */ ({ room: room(), history: [], playlists: null, playlistChanges: 0, connection: 'open', memberId: 'm1' }));
  return { store, paths };
}

test('entries that come while older ones load lose nothing', async (t) => {
  const { store } = setUp(t, () => {
    store.update({ history: /** @type {any} */ (entries(101, 51)) });
    return Response.json(entries(50, 40));
  });
  store.update({ history: /** @type {any} */ (entries(100, 51)) });
  createHistory(store).loadOlder();
  await settlePromises();
  assert.deepEqual(store.get().history.map(({ id }) => id), entries(101, 40).map(({ id }) => id));
});

test('older entries are loaded later if newer ones replaced all', async (t) => {
  const { store, paths } = setUp(t, () => {
    if (paths.length === 1) store.update({ history: /** @type {any} */ (entries(300, 251)) });
    return Response.json(entries(50, 40));
  });
  store.update({ history: /** @type {any} */ (entries(100, 51)) });
  const history = createHistory(store);
  history.loadOlder();
  await settlePromises();
  assert.equal(store.get().history.length, 50);
  history.loadOlder();
  await settlePromises();
  assert.match(paths[1] ?? '', /before=251/);
});

test('a failed request for older entries is repeated only later', async (t) => {
  const { store, paths } = setUp(t, () => Promise.reject(new TypeError('offline')));
  store.update({ history: /** @type {any} */ (entries(100, 51)) });
  const history = createHistory(store);
  history.loadOlder();
  await settlePromises();
  history.loadOlder();
  await settlePromises();
  assert.equal(paths.length, 1);
  t.mock.timers.tick(5_000);
  history.loadOlder();
  await settlePromises();
  assert.equal(paths.length, 2);
});

test('playlists are loaded again when only they have changed', async (t) => {
  const { store, paths } = setUp(t, () => Response.json([]));
  const handle = createMessageHandler({ store, showMessage: () => {}, refreshIndex: () => {}, onOwnRemoval: () => {}, onNoResponse: () => {} });
  createPlaylists(store)();
  await settlePromises();
  handle(/** @type {any} */ ({ event: 'library.changed', eventCount: 8, payload: { playlists: true } }));
  await settlePromises();
  assert.equal(paths.filter((path) => path.endsWith('/playlists')).length, 2);
});
