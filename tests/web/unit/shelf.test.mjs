// What becomes of tracks where storage fails, is shared with another tab, or holds another version.

import assert from 'node:assert/strict';
import test from 'node:test';
import { PART_BYTES } from '../../../static/js/cache/back.js';
import { openMemory } from '../../../static/js/cache/memory.js';
import { createShelf } from '../../../static/js/cache/shelf.js';

globalThis.navigator ??= /** @type {any} */ ({});

const track = (/** @type {string} */ trackId, over = {}) => /** @type {any} */ ({ trackId, version: 'v1', mime: 'audio/wav', size: 6, ...over });
const bytes = (/** @type {string} */ text) => new TextEncoder().encode(text).buffer;
const known = (/** @type {any[]} */ ...tracks) => new Map(tracks.map((one) => [one.trackId, one]));
const text = async (/** @type {Promise<Blob | null>} */ blob) => (await blob)?.text();

/** A shelf over a back that keeps, but for what `over` says of it. */
async function open(over = (/** @type {any} */ back) => ({})) {
  const memory = openMemory();
  let falls = 0;
  const shelf = await createShelf({ ...memory, kind: 'IndexedDB', ...over(memory) }, {
    ranks: () => () => 0,
    isUrgent: () => true,
    fixedBytes: () => 1e9,
    onRemoved: () => {},
    onFallen: () => (falls += 1),
  });
  const fetched = async (/** @type {any} */ one, /** @type {string[]} */ ...texts) => {
    let { entry } = await shelf.begin(one);
    for (const part of texts) entry = await shelf.append(entry, bytes(part));
  };
  return { shelf, fetched, memory, falls: () => falls };
}

test('a storage that fails once is tried again', async () => {
  let fails = 1;
  const { shelf, fetched, falls } = await open((back) => ({ append: async (entry, part) => (fails-- > 0 ? Promise.reject(new Error('a hiccup')) : back.append(entry, part)) }));
  await fetched(track('a'), 'abcdef');
  assert.equal(await text(shelf.read('a')), 'abcdef');
  assert.deepEqual([shelf.kind, falls()], ['IndexedDB', 0]);
});

test('where storage fails for good, music is kept in memory, little of it, and somebody is told', async () => {
  let broken = false;
  const { shelf, fetched, falls } = await open((back) => ({ append: async (entry, part) => (broken ? Promise.reject(new Error('gone')) : back.append(entry, part)) }));
  await fetched(track('a'), 'abcdef');
  broken = true;
  await assert.rejects(fetched(track('b'), 'ghijkl'), /gone/);
  assert.deepEqual([shelf.kind, falls(), ...shelf.held(new Map())], ['memory', 1]);
  await fetched(track('b'), 'ghijkl');
  assert.equal(await text(shelf.read('b')), 'ghijkl');
  assert.ok(shelf.roomBytes() < 500e6);
  assert.equal(shelf.fixed(), false);
});

test('a storage that cannot tell what it has is not used', async () => {
  const { shelf, fetched, falls } = await open(() => ({ list: async () => Promise.reject(new Error('unreadable')) }));
  assert.deepEqual([shelf.kind, falls()], ['memory', 1]);
  await fetched(track('a'), 'abcdef');
  assert.deepEqual([...shelf.held(new Map())], ['a']);
});

test('held is what is whole, and in no other version than that of the index', async () => {
  const { shelf, fetched } = await open();
  await fetched(track('a'), 'abcdef');
  await fetched(track('b'), 'abcdef');
  await fetched(track('c'), 'abc');
  const held = (/** @type {any[]} */ ...tracks) => [...shelf.held(known(...tracks))];
  assert.deepEqual(held(track('a'), track('b'), track('c')), ['a', 'b']);
  assert.deepEqual(held(track('a', { version: 'v2' }), track('b')), ['b']);
  assert.deepEqual(held(), ['a', 'b'], 'as long as the index has not come');
});

test('a part that was cut short is gone on with, and one that is not there as the entry says is not', async () => {
  const large = track('a', { size: PART_BYTES + 6 });
  const { shelf, fetched, memory } = await open();
  await fetched(large, 'x'.repeat(PART_BYTES), 'abc');
  for (let tries = 0; tries < 2; tries += 1) {
    // A try that reaches nobody costs nothing of what is there.
    const { entry, tail } = await shelf.begin(large);
    assert.deepEqual([entry.parts, entry.receivedBytes, await tail.text()], [1, PART_BYTES, 'abc']);
  }
  const { entry } = await shelf.begin(large);
  await shelf.append(entry, bytes('abcdef'));
  assert.equal((await text(shelf.read('a')))?.slice(PART_BYTES - 1), 'xabcdef');

  await fetched(track('b'), 'abc');
  // Another tab has got further with the same part.
  await memory.append({ ...track('b'), parts: 1, receivedBytes: 5, usedAtMs: 1 }, bytes('abcde'));
  const anew = await shelf.begin(track('b'));
  assert.deepEqual([anew.entry.parts, anew.tail.size], [0, 0]);
});

test('what cannot be removed is let go of all the same', async () => {
  const { shelf, fetched } = await open(() => ({ remove: async () => Promise.reject(new Error('no')) }));
  await fetched(track('a'), 'abcdef');
  await shelf.follow(known(track('b')));
  assert.deepEqual([...shelf.held(new Map())], []);
});
