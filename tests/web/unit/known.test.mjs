import assert from 'node:assert/strict';
import test from 'node:test';
import { changes, complete, openKnown, steady } from '../../../static/js/cache/known.js';

const track = (trackId, over = {}) => ({ trackId, version: 'v1', tags: { title: trackId }, ...over });
const tracks = (...list) => new Map(list.map((one) => [one.trackId, one]));

test('a duration that was learned completes an index that lacks it, of the same version alone', () => {
  const known = tracks(track('a', { duration: 3 }), track('b', { duration: 4 }), track('c', { duration: 5 }));
  const index = tracks(track('a'), track('b', { version: 'v2' }), track('c', { duration: 6 }), track('d'));
  const durations = [...complete(index, known).values()].map(({ duration }) => duration);
  assert.deepEqual(durations, [3, undefined, 6, undefined]);
});

test('what is new or longer known is written, and what is gone is dropped', () => {
  const known = tracks(track('a'), track('b'), track('c', { duration: 5 }), track('z'));
  const index = tracks(track('a'), track('b', { duration: 4 }), track('c', { version: 'v2', duration: 5 }), track('d'));
  const { put, gone } = changes(index, known);
  assert.deepEqual(put.map(({ trackId }) => trackId), ['b', 'c', 'd']);
  assert.deepEqual(gone, ['z']);
  assert.deepEqual(changes(tracks(), known), { put: [], gone: [] });
});

test('tracks that are the same stay the same objects, and so does an index in which all are', () => {
  const before = tracks(track('a', { duration: 3 }), track('b'), track('c'), track('z'));
  const again = tracks(track('a', { duration: 3 }), track('b'), track('c'), track('z'));
  assert.equal(steady(before, again), before);
  const changed = tracks(track('a', { duration: 4 }), track('b', { version: 'v2' }), track('c'), track('d'), track('z', { tags: { title: 'Z' } }));
  const index = steady(before, changed);
  assert.deepEqual(index, changed);
  assert.deepEqual([...index.keys()].filter((id) => index.get(id) === before.get(id)), ['c']);
  assert.notEqual(steady(before, tracks(track('a', { duration: 3 }), track('b'), track('c'))), before);
});

/** Whatever needs no time but turns has come to its end. */
const settled = async () => {
  for (let turn = 0; turn < 10; turn += 1) await new Promise(setImmediate);
};

const silent = () => ({});
const broken = [
  ['refuses to be opened', () => { throw new DOMException('no', 'SecurityError'); }],
  ['never answers', silent],
  ['is opened and cannot be read', () => {
    const opening = { result: { objectStoreNames: ['tracks'], transaction: () => { throw new DOMException('gone', 'InvalidStateError'); }, close: () => {} } };
    setImmediate(() => opening.onsuccess());
    return opening;
  }],
  ['is opened and then never answers', () => {
    const transaction = { objectStore: () => ({ getAll: silent }) };
    const opening = { result: { objectStoreNames: ['tracks'], transaction: () => transaction, close: () => {} } };
    setImmediate(() => opening.onsuccess());
    return opening;
  }],
];
for (const [what, open] of broken) {
  test(`where storage ${what}, nothing is known, and that within three seconds`, async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    globalThis.indexedDB = /** @type {any} */ ({ open });
    t.after(() => delete globalThis.indexedDB);
    const known = openKnown();
    await settled();
    t.mock.timers.tick(3_000);
    assert.equal((await known).tracks().size, 0);
    const index = tracks(track('a'));
    assert.deepEqual((await known).take(index), index);
    await settled();
  });
}
