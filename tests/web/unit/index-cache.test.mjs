// The stored copy of the library index: merging with a new index, and failures of IndexedDB.

import assert from 'node:assert/strict';
import test from 'node:test';
import { changesToStore, fillDurations, indexTracks, openIndexCache, reuseUnchanged } from '../../../static/js/tracks/index-cache.js';
import { settlePromises } from '../support/promises.mjs';

const track = (trackId, overrides = {}) => ({ trackId, version: 'v1', tags: { title: trackId }, ...overrides });
const indexOf = (...tracks) => indexTracks(tracks);

test('a stored duration completes a track of the same version', () => {
  const stored = indexOf(track('a', { duration: 3 }), track('b', { duration: 4 }), track('c', { duration: 5 }));
  const index = indexOf(track('a'), track('b', { version: 'v2' }), track('c', { duration: 6 }), track('d'));
  const durations = [...fillDurations(index, stored).values()].map(({ duration }) => duration);
  assert.deepEqual(durations, [3, undefined, 6, undefined]);
});

test('changed tracks are written, removed ones deleted unless the index is empty', () => {
  const stored = indexOf(track('a'), track('b'), track('c', { duration: 5 }), track('z'));
  const index = indexOf(track('a'), track('b', { duration: 4 }), track('c', { version: 'v2', duration: 5 }), track('d'));
  const { put, removed } = changesToStore(index, stored);
  assert.deepEqual(put.map(({ trackId }) => trackId), ['b', 'c', 'd']);
  assert.deepEqual(removed, ['z']);
  assert.deepEqual(changesToStore(indexOf(), stored), { put: [], removed: [] });
});

test('unchanged tracks keep their objects, and an unchanged index keeps its map', () => {
  const before = indexOf(track('a', { duration: 3 }), track('b'), track('c'), track('z'));
  const equalIndex = indexOf(track('a', { duration: 3 }), track('b'), track('c'), track('z'));
  assert.equal(reuseUnchanged(before, equalIndex), before);
  const changed = indexOf(track('a', { duration: 4 }), track('b', { version: 'v2' }), track('c'), track('d'), track('z', { tags: { title: 'Z' } }));
  const index = reuseUnchanged(before, changed);
  assert.deepEqual(index, changed);
  assert.deepEqual([...index.keys()].filter((id) => index.get(id) === before.get(id)), ['c']);
  const shorter = indexOf(track('a', { duration: 3 }), track('b'), track('c'));
  assert.notEqual(reuseUnchanged(before, shorter), before);
});

for (const [name, change] of /** @type {[string, object][]} */ ([
  ['gain', { gainDb: -3 }],
  ['peak', { peak: 0.5 }],
  ['request to measure again', { measureAgain: true }],
  ['album', { albumId: 4 }],
  ['album gain', { albumGainDb: -3 }],
  ['album peak', { albumPeak: 0.5 }],
  ['size', { size: 9 }],
  ['padding', { padding: { leadSec: 0.1, wholeSec: 8 } }],
  ['tag', { tags: { title: 'a', genre: 'Jazz' } }],
])) {
  test(`a new, a changed and a removed ${name} are taken over and stored`, () => {
    const other = JSON.parse(JSON.stringify(change).replace(/(\d)([,}])/g, '$15$2').replace('Jazz', 'Folk').replace('true', 'null'));
    for (const [from, to] of [[{}, change], [change, other], [change, {}]]) {
      const [before, after] = [indexOf(track('a', from)), indexOf(track('a', to))];
      assert.deepEqual(reuseUnchanged(before, after).get('a'), after.get('a'));
      assert.equal(changesToStore(after, before).put.length, 1);
      assert.equal(reuseUnchanged(before, indexOf(track('a', structuredClone(from)))), before);
    }
  });
}

const neverSettles = () => ({});
const failures = [
  ['refuses to open', () => { throw new DOMException('no', 'SecurityError'); }],
  ['never opens', neverSettles],
  ['cannot be read', () => {
    const opening = { result: { objectStoreNames: ['tracks'], transaction: () => { throw new DOMException('gone', 'InvalidStateError'); }, close: () => {} } };
    setImmediate(() => opening.onsuccess());
    return opening;
  }],
  ['never answers reads', () => {
    const transaction = { objectStore: () => ({ getAll: neverSettles }) };
    const opening = { result: { objectStoreNames: ['tracks'], transaction: () => transaction, close: () => {} } };
    setImmediate(() => opening.onsuccess());
    return opening;
  }],
];
for (const [name, open] of failures) {
  test(`the index cache opens within three seconds if IndexedDB ${name}`, async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    globalThis.indexedDB = /** @type {any} */ ({ open });
    t.after(() => delete globalThis.indexedDB);
    const opening = openIndexCache();
    await settlePromises();
    t.mock.timers.tick(3_000);
    const indexCache = await opening;
    assert.equal(indexCache.storedIndex().size, 0);
    const index = indexOf(track('a'));
    assert.deepEqual(indexCache.withKnownDurations(index), index);
    indexCache.save(index);
    await settlePromises();
  });
}
