// The index in the store while the server is unreachable, and measured durations.

import assert from 'node:assert/strict';
import test from 'node:test';
import { createIndexSync } from '../../../static/js/net/index-sync.js';
import { createStore } from '../../../static/js/store.js';
import { indexTracks } from '../../../static/js/tracks/index-cache.js';
import { settlePromises } from '../support/promises.mjs';

const track = (trackId, overrides = {}) => ({ trackId, version: 'v1', tags: { title: trackId }, ...overrides });

/**
 * @param {import('node:test').TestContext} t
 * @param {any[]} storedTracks in the stored copy of the index
 * @param {any[]} loadedTracks in the app state
 */
function openIndexSync(t, storedTracks, loadedTracks = []) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const store = createStore(/** @type {any} */ ({ view: 'room', index: indexTracks(loadedTracks) }));
  const indexCache = { storedIndex: () => indexTracks(storedTracks), withKnownDurations: (/** @type {any} */ index) => index, save: () => {} };
  const index = createIndexSync({ store, indexCache: Promise.resolve(/** @type {any} */ (indexCache)) });
  return { store, index };
}

test('the stored index is used until the server responds', async (t) => {
  const { store, index } = openIndexSync(t, [track('old')]);
  let isUnreachable = true;
  t.mock.method(globalThis, 'fetch', async () => {
    if (isUnreachable) throw new TypeError('network failure');
    return Response.json([track('new')], { headers: { ETag: '"1"' } });
  });
  await index.refresh();
  assert.deepEqual([...store.get().index.keys()], ['old']);
  isUnreachable = false;
  t.mock.timers.tick(2_000);
  await settlePromises();
  assert.deepEqual([...store.get().index.keys()], ['new']);
});

/** [trackId, duration, uncorrectedDuration] of each track in the store */
const lengths = (/** @type {any} */ store) => [...store.get().index].map(([id, { duration, uncorrectedDuration }]) => [id, duration, uncorrectedDuration]);

test('a decoded length replaces the indexed one if they differ by more than 0.25 s', (t) => {
  const { store, index } = openIndexSync(t, [], [track('a', { duration: 100 }), track('b', { duration: 100 }), track('c', { duration: 100 }), track('d', { duration: 100 }), track('e')]);
  index.recordDecodedDuration('a', 'v1', 100.26);
  index.recordDecodedDuration('b', 'v1', 99.7);
  index.recordDecodedDuration('c', 'v1', 100.25);
  index.recordDecodedDuration('d', 'v0', 120);
  index.recordDecodedDuration('e', 'v1', 120);
  index.recordDecodedDuration('unknown', 'v1', 120);
  assert.deepEqual(lengths(store), [['a', 100.26, 100], ['b', 99.7, 100], ['c', 100, undefined], ['d', 100, undefined], ['e', undefined, undefined]]);
});

test('a decoded length lasts until the server has a near one or another version', async (t) => {
  const { store, index } = openIndexSync(t, [], [track('a', { duration: 100 })]);
  /** @type {object} */
  let received;
  t.mock.method(globalThis, 'fetch', async () => Response.json([received]));
  index.recordDecodedDuration('a', 'v1', 104);
  for (const [receivedTrack, expected] of [
    [{ duration: 100 }, [104, 100]],
    [{ duration: 99 }, [104, 99]],
    [{ duration: 103.9 }, [103.9, undefined]],
    [{ duration: 100 }, [104, 100]],
  ]) {
    received = track('a', receivedTrack);
    await index.refresh();
    assert.deepEqual(lengths(store), [['a', ...expected]]);
  }
  received = track('a', { version: 'v2', duration: 100 });
  await index.refresh();
  assert.deepEqual(lengths(store), [['a', 100, undefined]]);
});

test('a decoded length that agreed applies once the index states another one', async (t) => {
  const { store, index } = openIndexSync(t, [], [track('a', { duration: 100 })]);
  index.recordDecodedDuration('a', 'v1', 100.1);
  t.mock.method(globalThis, 'fetch', async () => Response.json([track('a', { duration: 95 })]));
  await index.refresh();
  assert.deepEqual(lengths(store), [['a', 100.1, 95]]);
});

test('an index that was received unchanged does not replace the corrected one', async (t) => {
  const { store, index } = openIndexSync(t, [], [track('a', { duration: 100 })]);
  t.mock.method(globalThis, 'fetch', async () => Response.json([track('a', { duration: 100 })]));
  index.recordDecodedDuration('a', 'v1', 104);
  const corrected = store.get().index;
  index.recordDecodedDuration('a', 'v1', 104);
  await index.refresh();
  assert.equal(store.get().index, corrected);
});

test('a measured duration is recorded only where the index has none', async (t) => {
  const { store, index } = openIndexSync(t, [], [track('a'), track('b', { duration: 5 })]);
  await index.recordDuration('a', 3);
  await index.recordDuration('b', 3);
  await index.recordDuration('unknown', 3);
  assert.deepEqual([...store.get().index].map(([id, { duration }]) => [id, duration]), [['a', 3], ['b', 5]]);
});
