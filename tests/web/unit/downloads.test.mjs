// Downloads of tracks, against a simulated server and storage.

import assert from 'node:assert/strict';
import test from 'node:test';
import { PART_BYTES } from '../../../static/js/tracks/storage.js';
import { openMemoryStorage } from '../../../static/js/tracks/memory-storage.js';
import { createTrackCache } from '../../../static/js/tracks/track-cache.js';
import { startDownloads } from '../../../static/js/tracks/downloads.js';
import { createStore } from '../../../static/js/store.js';
import { room } from '../support/rooms.mjs';

const track = (/** @type {string} */ trackId, /** @type {number} */ size, version = 'v1') => ({ trackId, version, size, mime: 'audio/wav', tags: { title: trackId } });
const indexOf = (/** @type {any[]} */ ...tracks) => /** @type {any} */ (new Map(tracks.map((entry) => [entry.trackId, entry])));

/**
 * @param {import('node:test').TestContext} t
 * @param {(path: string, fromByte: number, signal: AbortSignal) => Response} respond
 */
async function openDownloads(t, respond) {
  const state = { view: 'room', connection: 'open', room: room({ queue: ['a'], queueIndex: 0 }), index: new Map(), cachedTrackIds: new Set(), unplayableReasons: new Map(), settings: {} };
  const store = createStore(/** @type {any} */ (state));
  const storage = openMemoryStorage();
  const cache = await createTrackCache(storage, {
    rankFunction: () => () => 0, isUrgent: () => true, settingsLimitBytes: () => 1e9, onRemoved: () => {}, onFallback: () => {},
  });
  t.mock.method(globalThis, 'fetch', async (path, { headers, signal }) => respond(path.slice(1), Number(/\d+/.exec(headers.Range ?? '0')?.[0]), signal));
  startDownloads({ store, cache, onOutdated: () => {}, onNoSpace: () => {}, onPostponed: () => {} });
  return { store, cache, storage };
}

/** The content of a file whose 32-bit words all differ. */
const distinctBytes = (/** @type {number} */ size) => {
  const words = new Uint32Array(Math.ceil(size / 4));
  words.forEach((_, i) => (words[i] = i));
  return new Uint8Array(words.buffer, 0, size);
};

test('a new version of a file replaces the download in progress', async (t) => {
  /** @type {string[]} */
  const requestedPaths = [];
  let reportRead = (/** @type {unknown} */ _) => {};
  const firstRead = new Promise((resolve) => (reportRead = resolve));
  const { store, cache } = await openDownloads(t, (path, _, signal) => {
    requestedPaths.push(path);
    if (path.includes('v2')) return new Response('the new one');
    // The body of the old version never ends.
    return new Response(new ReadableStream({
      start: (body) => {
        body.enqueue(new TextEncoder().encode('the old'));
        signal.addEventListener('abort', () => body.error(new Error('aborted')));
      },
      pull: () => (reportRead(null), new Promise(() => {})),
    }, { highWaterMark: 0 }));
  });
  store.update({ index: indexOf(track('a', 11)) });
  await firstRead;
  store.update({ index: indexOf(track('a', 11, 'v2')) });
  assert.ok(await store.waitFor(({ cachedTrackIds }) => cachedTrackIds.has('a'), 5_000));
  assert.deepEqual(requestedPaths, ['/file/a?v=v1', '/file/a?v=v2']);
  assert.equal(await (await cache.read('a'))?.text(), 'the new one');
});

test('a broken download resumes at the first missing byte', async (t) => {
  const size = 2 * PART_BYTES + 1_000;
  const file = distinctBytes(size);
  const breakOffsets = [PART_BYTES - 10, PART_BYTES + 3, 2 * PART_BYTES];
  /** @type {number[]} */
  const rangeStarts = [];
  const { store, cache, storage } = await openDownloads(t, (_, fromByte) => {
    rangeStarts.push(fromByte);
    const end = breakOffsets[rangeStarts.length - 1] ?? size;
    return new Response(new ReadableStream({
      start: (body) => {
        for (let offset = fromByte; offset < end; offset += 70_001) body.enqueue(file.slice(offset, Math.min(end, offset + 70_001)));
      },
      pull: (body) => (end < size ? body.error(new Error('broken')) : body.close()),
    }, { highWaterMark: 0 }), { status: fromByte > 0 ? 206 : 200 });
  });
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const cachedInTime = store.waitFor(({ cachedTrackIds }) => cachedTrackIds.has('a'), 60_000);
  store.update({ index: indexOf(track('a', size)) });
  while (!store.get().cachedTrackIds.has('a') && rangeStarts.length < 10) {
    await new Promise(setImmediate);
    t.mock.timers.tick(100);
  }
  assert.ok(await cachedInTime);
  assert.deepEqual(rangeStarts, [0, ...breakOffsets]);
  const [entry] = await storage.list();
  const sizes = await Promise.all([0, 1, 2].map(async (i) => (await storage.readPart(/** @type {any} */ (entry), i)).size));
  assert.deepEqual([entry?.partCount, ...sizes], [3, PART_BYTES, PART_BYTES, 1_000]);
  assert.deepEqual(new Uint8Array(await /** @type {Blob} */ (await cache.read('a')).arrayBuffer()), file);
});

test('each 429 response is retried after its Retry-After, without limit', async (t) => {
  /** @type {number[]} */
  const requestedMs = [];
  let nowMs = 0;
  const { store } = await openDownloads(t, () => {
    requestedMs.push(nowMs);
    if (requestedMs.length > 5) return new Response('music');
    return Response.json({ detail: 'ten downloads already' }, { status: 429, headers: { 'Retry-After': '4' } });
  });
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const cachedInTime = store.waitFor(({ cachedTrackIds }) => cachedTrackIds.has('a'), 60_000);
  store.update({ index: indexOf(track('a', 5)) });
  while (!store.get().cachedTrackIds.has('a') && nowMs < 60_000) {
    await new Promise(setImmediate);
    t.mock.timers.tick(100);
    nowMs += 100;
  }
  assert.ok(await cachedInTime);
  const waitsMs = requestedMs.slice(1).map((ms, i) => ms - (requestedMs[i] ?? 0));
  assert.equal(waitsMs.length, 5);
  assert.ok(waitsMs.every((ms) => ms >= 4_000 && ms < 6_000), `waits in ms: ${waitsMs}`);
});
