// The fetching of tracks, against a server and a storage that are made up.

import assert from 'node:assert/strict';
import test from 'node:test';
import { PART_BYTES } from '../../../static/js/cache/back.js';
import { openMemory } from '../../../static/js/cache/memory.js';
import { createShelf } from '../../../static/js/cache/shelf.js';
import { createDownloads } from '../../../static/js/downloads.js';
import { createStore } from '../../../static/js/store.js';
import { room } from '../support/rooms.mjs';

const track = (/** @type {string} */ trackId, /** @type {number} */ size, version = 'v1') => ({ trackId, version, size, mime: 'audio/wav', tags: { title: trackId } });
const indexOf = (/** @type {any[]} */ ...tracks) => new Map(tracks.map((one) => [one.trackId, one]));

/**
 * @param {import('node:test').TestContext} t
 * @param {(path: string, from: number, signal: AbortSignal) => Response} answer
 */
async function phone(t, answer) {
  const state = { view: 'room', connection: 'open', room: room({ queue: ['a'], queueIndex: 0 }), index: new Map(), held: new Set(), unplayable: new Map(), settings: {} };
  const store = createStore(/** @type {any} */ (state));
  const back = openMemory();
  const shelf = await createShelf(back, {
    ranks: () => () => 0, isUrgent: () => true, fixedBytes: () => 1e9, onRemoved: () => {}, onFallen: () => {},
  });
  t.mock.method(globalThis, 'fetch', async (path, { headers, signal }) => answer(path, Number(/\d+/.exec(headers.Range ?? '0')?.[0]), signal));
  createDownloads({ store, shelf, onOutdated: () => {}, onNoRoom: () => {}, onAside: () => {} });
  return { store, shelf, back };
}

/** The music: no two places are alike. */
const music = (/** @type {number} */ size) => {
  const words = new Uint32Array(Math.ceil(size / 4));
  words.forEach((_, i) => (words[i] = i));
  return new Uint8Array(words.buffer, 0, size);
};

test('a file that is replaced while it is being fetched is fetched anew', async (t) => {
  /** @type {string[]} */
  const asked = [];
  let came = (/** @type {unknown} */ _) => {};
  const begun = new Promise((resolve) => (came = resolve));
  const { store, shelf } = await phone(t, (path, _, signal) => {
    asked.push(path);
    if (path.includes('v2')) return new Response('the new one');
    // The old one never ends.
    return new Response(new ReadableStream({
      start: (body) => {
        body.enqueue(new TextEncoder().encode('the old'));
        signal.addEventListener('abort', () => body.error(new Error('given up')));
      },
      pull: () => (came(null), new Promise(() => {})),
    }, { highWaterMark: 0 }));
  });
  store.update({ index: /** @type {any} */ (indexOf(track('a', 11))) });
  await begun;
  store.update({ index: /** @type {any} */ (indexOf(track('a', 11, 'v2'))) });
  assert.ok(await store.until(({ held }) => held.has('a'), 5_000));
  assert.deepEqual(asked, ['/file/a?v=v1', '/file/a?v=v2']);
  assert.equal(await (await shelf.read('a'))?.text(), 'the new one');
});

test('parts are cut at the same places wherever a download broke, and nothing comes twice', async (t) => {
  const size = 2 * PART_BYTES + 1_000;
  const whole = music(size);
  const breaks = [PART_BYTES - 10, PART_BYTES + 3, 2 * PART_BYTES];
  /** @type {number[]} */
  const asked = [];
  const { store, shelf, back } = await phone(t, (_, from) => {
    asked.push(from);
    const to = breaks[asked.length - 1] ?? size;
    return new Response(new ReadableStream({
      start: (body) => {
        for (let at = from; at < to; at += 70_001) body.enqueue(whole.slice(at, Math.min(to, at + 70_001)));
      },
      pull: (body) => (to < size ? body.error(new Error('broken')) : body.close()),
    }, { highWaterMark: 0 }), { status: from > 0 ? 206 : 200 });
  });
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const end = store.until(({ held }) => held.has('a'), 60_000);
  store.update({ index: /** @type {any} */ (indexOf(track('a', size))) });
  while (!store.get().held.has('a') && asked.length < 10) {
    await new Promise(setImmediate);
    t.mock.timers.tick(100);
  }
  assert.ok(await end);
  assert.deepEqual(asked, [0, ...breaks]);
  const [entry] = await back.list();
  const sizes = await Promise.all([0, 1, 2].map(async (i) => (await back.part(/** @type {any} */ (entry), i)).size));
  assert.deepEqual([entry?.parts, ...sizes], [3, PART_BYTES, PART_BYTES, 1_000]);
  assert.deepEqual(new Uint8Array(await /** @type {Blob} */ (await shelf.read('a')).arrayBuffer()), whole);
});

test('a server that has too much to do is asked again when it says, as often as it takes', async (t) => {
  /** @type {number[]} */
  const askedMs = [];
  let nowMs = 0;
  const { store } = await phone(t, () => {
    askedMs.push(nowMs);
    if (askedMs.length > 5) return new Response('music');
    return Response.json({ detail: 'ten downloads already' }, { status: 429, headers: { 'Retry-After': '4' } });
  });
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const end = store.until(({ held }) => held.has('a'), 60_000);
  store.update({ index: /** @type {any} */ (indexOf(track('a', 5))) });
  while (!store.get().held.has('a') && nowMs < 60_000) {
    await new Promise(setImmediate);
    t.mock.timers.tick(100);
    nowMs += 100;
  }
  assert.ok(await end);
  const waits = askedMs.slice(1).map((at, i) => at - (askedMs[i] ?? 0));
  assert.equal(waits.length, 5);
  assert.ok(waits.every((ms) => ms >= 4_000 && ms < 6_000), String(waits));
});
