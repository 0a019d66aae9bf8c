// The track cache on storages that fail, are full, or are shared with another tab.

import assert from 'node:assert/strict';
import test from 'node:test';
import { RANK } from '../../../static/js/tracks/cache-policy.js';
import { openMemoryStorage } from '../../../static/js/tracks/memory-storage.js';
import { PART_BYTES } from '../../../static/js/tracks/storage.js';
import { createTrackCache } from '../../../static/js/tracks/track-cache.js';

globalThis.navigator ??= /** @type {any} */ ({});

const track = (/** @type {string} */ trackId, overrides = {}) => /** @type {any} */ ({ trackId, version: 'v1', mime: 'audio/wav', size: 6, ...overrides });
const bytesOf = (/** @type {string} */ text) => new TextEncoder().encode(text).buffer;
const indexOf = (/** @type {any[]} */ ...tracks) => new Map(tracks.map((entry) => [entry.trackId, entry]));
const textOf = async (/** @type {Promise<Blob | null>} */ blob) => (await blob)?.text();
const cachedTracksIn = (/** @type {any} */ cache, index = new Map()) => [...cache.cachedTrackIds(index)];
const listedIds = async (/** @type {any} */ storage) => (await storage.list()).map(({ trackId }) => trackId);
const quotaError = () => new DOMException('full', 'QuotaExceededError');

/**
 * A cache on a storage that works, except for the methods that `override` returns.
 * @param {(storage: any) => object} [override]
 * @param {object} [options]
 */
async function openCache(override = () => ({}), options = {}) {
  const memory = openMemoryStorage();
  let fallbacks = 0;
  const cache = await createTrackCache({ ...memory, kind: 'IndexedDB', ...override(memory) }, {
    rankFunction: () => () => RANK.other,
    isUrgent: () => true,
    settingsLimitBytes: () => 1e9,
    onRemoved: () => {},
    onFallback: () => (fallbacks += 1),
    ...options,
  });
  const store = async (/** @type {any} */ trackToStore, /** @type {string[]} */ ...parts) => {
    let { entry } = await cache.begin(trackToStore);
    for (const part of parts) entry = await cache.append(entry, bytesOf(part));
  };
  return { cache, store, memory, fallbacks: () => fallbacks };
}

/** A cache with the complete tracks `a`, `b` and `c`, last used in this order. */
async function openFilledCache(override = () => ({}), playingTrackId = null) {
  const { cache, store, memory } = await openCache(override, { settingsLimitBytes: () => 1_000, protectedTrackId: () => playingTrackId });
  const { now: realNow } = Date;
  let now = 0;
  Date.now = () => (now += 1);
  for (const id of ['a', 'b', 'c']) await store(track(id, { size: 4 }), 'four');
  Date.now = realNow;
  return { cache, store, memory };
}

test('a write that fails once is retried', async () => {
  let failures = 1;
  const { cache, store, fallbacks } = await openCache((storage) => ({
    append: async (entry, part) => (failures-- > 0 ? Promise.reject(new Error('write failed')) : storage.append(entry, part)),
  }));
  await store(track('a'), 'abcdef');
  assert.equal(await textOf(cache.read('a')), 'abcdef');
  assert.deepEqual([cache.kind, fallbacks()], ['IndexedDB', 0]);
});

test('a storage that keeps failing is replaced by limited memory', async () => {
  let broken = false;
  const { cache, store, fallbacks } = await openCache((storage) => ({
    append: async (entry, part) => (broken ? Promise.reject(new Error('write failed')) : storage.append(entry, part)),
  }));
  await store(track('a'), 'abcdef');
  broken = true;
  await assert.rejects(store(track('b'), 'ghijkl'), /write failed/);
  assert.deepEqual([cache.kind, fallbacks(), ...cachedTracksIn(cache)], ['memory', 1]);
  await store(track('b'), 'ghijkl');
  assert.equal(await textOf(cache.read('b')), 'ghijkl');
  assert.ok(cache.prefetchBudgetBytes() < 500e6);
  assert.equal(cache.usesSettingsLimit(), false);
});

test('a storage that cannot list its tracks is replaced by memory', async () => {
  const { cache, store, fallbacks } = await openCache(() => ({ list: async () => Promise.reject(new Error('unreadable')) }));
  assert.deepEqual([cache.kind, fallbacks()], ['memory', 1]);
  await store(track('a'), 'abcdef');
  assert.deepEqual(cachedTracksIn(cache), ['a']);
});

test('only complete tracks in the version of the index count as cached', async () => {
  const { cache, store } = await openCache();
  await store(track('a'), 'abcdef');
  await store(track('b'), 'abcdef');
  await store(track('c'), 'abc');
  assert.deepEqual(cachedTracksIn(cache, indexOf(track('a'), track('b'), track('c'))), ['a', 'b']);
  assert.deepEqual(cachedTracksIn(cache, indexOf(track('a', { version: 'v2' }), track('b'))), ['b']);
  assert.deepEqual(cachedTracksIn(cache), ['a', 'b'], 'without an index all complete tracks must count');
});

test('a download resumes within its last part if that part is unchanged', async () => {
  const large = track('a', { size: PART_BYTES + 6 });
  const { cache, store, memory } = await openCache();
  await store(large, 'x'.repeat(PART_BYTES), 'abc');
  for (let attempt = 0; attempt < 2; attempt += 1) {
    // Preparing a download that then fails must not lose stored bytes.
    const { entry, tail } = await cache.begin(large);
    assert.deepEqual([entry.partCount, entry.receivedBytes, await tail.text()], [1, PART_BYTES, 'abc']);
  }
  const { entry } = await cache.begin(large);
  await cache.append(entry, bytesOf('abcdef'));
  assert.equal((await textOf(cache.read('a')))?.slice(PART_BYTES - 1), 'xabcdef');

  await store(track('b'), 'abc');
  await memory.append({ ...track('b'), partCount: 1, receivedBytes: 5, usedAtMs: 1 }, bytesOf('abcde'));
  const restarted = await cache.begin(track('b'));
  assert.deepEqual([restarted.entry.partCount, restarted.tail.size], [0, 0]);
});

test('a track that cannot be removed no longer counts as cached', async () => {
  const { cache, store } = await openCache(() => ({ remove: async () => Promise.reject(new Error('no')) }));
  await store(track('a'), 'abcdef');
  await cache.removeOutdated(indexOf(track('a', { version: 'v2' })));
  assert.deepEqual(cachedTracksIn(cache), []);
});

test('tracks that the index lacks stay until space is needed', async () => {
  const absentTracks = new Set(['b', 'c']);
  const rankOf = (/** @type {string} */ id) => (absentTracks.has(id) ? RANK.absent : RANK.other);
  const { cache, store, memory } = await openCache(undefined, { settingsLimitBytes: () => 20, rankFunction: () => rankOf });
  for (const id of ['a', 'b', 'c']) await store(track(id), 'abcdef');
  await cache.removeOutdated(indexOf(track('a')));
  assert.deepEqual(await listedIds(memory), ['a', 'b', 'c']);
  await store(track('d'), 'abcdef');
  assert.deepEqual((await listedIds(memory)).length, 3);
  assert.deepEqual(cachedTracksIn(cache).filter((id) => !absentTracks.has(id)), ['a', 'd']);
});

test('a write beyond the quota evicts a track and is retried', async () => {
  let refusals = 1;
  const { cache, store, memory } = await openFilledCache((storage) => ({
    append: async (entry, part) => {
      if (entry.trackId === 'd' && refusals-- > 0) throw quotaError();
      await storage.append(entry, part);
    },
  }));
  await store(track('d', { size: 4 }), 'four');
  assert.deepEqual(cachedTracksIn(cache), ['b', 'c', 'd']);
  assert.deepEqual(await listedIds(memory), ['b', 'c', 'd']);
});

test('a write refused twice fails and records its size as too large', async () => {
  let attempts = 0;
  const { cache, store } = await openFilledCache((storage) => ({
    append: async (entry, part) => {
      if (entry.trackId !== 'd') return storage.append(entry, part);
      attempts += 1;
      throw quotaError();
    },
  }));
  await assert.rejects(store(track('d', { size: 4 }), 'four'), { name: 'QuotaExceededError' });
  assert.equal(attempts, 2);
  assert.equal(cache.mayFit(4), true);
  assert.equal(cache.mayFit(100), false);
});

test('a track whose part the browser has evicted is removed', async () => {
  const { cache, memory } = await openFilledCache((storage) => ({
    read: async (entry) => (entry.trackId === 'b' ? new Blob([bytesOf('fou')]) : storage.read(entry)),
  }));
  assert.equal(await cache.read('b'), null);
  assert.deepEqual(cachedTracksIn(cache), ['a', 'c']);
  assert.deepEqual(await listedIds(memory), ['a', 'c']);
  assert.equal((await cache.read('a')).size, 4);
});

test('clearing also removes entries that only the storage lists', async () => {
  const { cache, memory } = await openFilledCache();
  await memory.append({ ...track('stray', { size: 4 }), receivedBytes: 4, partCount: 1, usedAtMs: 0 }, bytesOf('four'));
  await cache.clear();
  assert.deepEqual(cachedTracksIn(cache), []);
  assert.deepEqual(await listedIds(memory), []);
});

test('clearing keeps only the track that is playing', async () => {
  const { cache, memory } = await openFilledCache(undefined, 'b');
  await cache.clear();
  assert.deepEqual(cachedTracksIn(cache), ['b']);
  assert.deepEqual(await listedIds(memory), ['b']);
});

test('an outdated track stays while it is playing', async () => {
  const { cache, memory } = await openFilledCache(undefined, 'b');
  const index = indexOf(...['a', 'b', 'c'].map((id) => track(id, { size: 4, version: id === 'a' ? 'v1' : 'v2' })));
  await cache.removeOutdated(index);
  assert.deepEqual(cachedTracksIn(cache, index), ['a', 'b']);
  assert.deepEqual(await listedIds(memory), ['a', 'b']);
});
