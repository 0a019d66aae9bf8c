// The track cache follows the library and the queue.

import assert from 'node:assert/strict';
import test from 'node:test';
import { createCacheSync } from '../../../static/js/app/cache-sync.js';
import { createStore } from '../../../static/js/store.js';
import { room } from '../support/rooms.mjs';

function createScene() {
  const calls = [];
  const store = createStore({ index: new Map([['b', { size: 9 }]]), room: room(), cachedTrackIds: new Set(), hasStorageFailed: false });
  const record = (name) => async () => void calls.push(name);
  const trackCache = {
    removeOutdated: record('removeOutdated'),
    remove: record('remove'),
    clear: record('clear'),
    mayFit: (size) => size < 10,
    cachedTrackIds: () => {
      calls.push('cachedTrackIds');
      return new Set(['a']);
    },
  };
  const playability = {
    refresh: () => void calls.push('playability.refresh'),
    retryTracksLackingSpace: (mayFit) => void calls.push(`retryTracksLackingSpace b ${mayFit('b')}, unknown ${mayFit('unknown')}`),
  };
  const cacheSync = createCacheSync({ store, getTrackCache: async () => trackCache, playability });
  return { store, calls, trackCache, cacheSync };
}

const settle = () => new Promise(setImmediate);

test('a new index removes outdated tracks and lists the cached ones', async () => {
  const { store, calls } = createScene();
  store.update({ index: new Map([['a', {}]]) });
  await settle();
  assert.deepEqual([...store.get().cachedTrackIds], ['a']);
  assert.deepEqual(calls, ['playability.refresh', 'removeOutdated', 'cachedTrackIds']);
});

test('a changed queue removes outdated tracks before retrying others', async () => {
  const { store, calls } = createScene();
  store.update({ room: room({ queueIndex: 2, queue: store.get().room.queue }) });
  await settle();
  assert.deepEqual([...store.get().cachedTrackIds], ['a']);
  assert.deepEqual(calls, ['removeOutdated', 'cachedTrackIds', 'retryTracksLackingSpace b true, unknown false']);
});

test('changes of other state do not access the cache', async () => {
  const { store, calls } = createScene();
  store.update({ room: { ...store.get().room, eventCount: 8 } });
  await settle();
  assert.deepEqual(calls, []);
});

test('many removals at once cause at most three store updates', async () => {
  const { store, trackCache, cacheSync } = createScene();
  trackCache.removeOutdated = async () => {
    for (let i = 0; i < 50; i += 1) cacheSync.updateCachedTrackIds();
  };
  let updateCount = 0;
  store.update({ index: new Map() });
  store.subscribe(() => (updateCount += 1));
  await settle();
  assert.ok(updateCount >= 1 && updateCount <= 3, `${updateCount} updates`);
});

test('a track whose bytes are lost is removed everywhere', async () => {
  const { calls, cacheSync } = createScene();
  await cacheSync.removeLostTrack('a');
  assert.deepEqual(calls, ['remove', 'cachedTrackIds']);
});

test('clearing the storage retries all tracks that lacked space', async () => {
  const { calls, cacheSync } = createScene();
  await cacheSync.clearStorage();
  assert.deepEqual(calls, ['clear', 'retryTracksLackingSpace b true, unknown true']);
});

test('a failed storage is recorded in the store', () => {
  const { store, cacheSync } = createScene();
  cacheSync.handleStorageFailure();
  assert.equal(store.get().hasStorageFailed, true);
});
