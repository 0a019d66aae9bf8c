import assert from 'node:assert/strict';
import test from 'node:test';
import { RANK } from '../../../static/js/cache.js';
import { openMemory } from '../../../static/js/cache/memory.js';
import { createShelf } from '../../../static/js/cache/shelf.js';

globalThis.navigator ??= /** @type {any} */ ({});

const track = (trackId, size = 4) => ({ trackId, version: 'v1', mime: 'audio/wav', size });
const bytes = (count) => new Uint8Array(count).buffer;

/** A shelf with `a`, `b` and `c`, of four bytes each and used in this order, on a back that does what `over` says. */
async function filled(over = (back) => ({}), fallen = () => {}, sounding = null) {
  const memory = openMemory();
  const back = { ...memory, kind: 'IndexedDB', ...over(memory) };
  const options = { ranks: () => () => RANK.other, isUrgent: () => true, fixedBytes: () => 1_000, onRemoved: () => {}, onFallen: fallen, sounding: () => sounding };
  const shelf = await createShelf(back, options);
  let now = 0;
  const { now: real } = Date;
  Date.now = () => (now += 1);
  for (const id of ['a', 'b', 'c']) await put(shelf, track(id));
  Date.now = real;
  return { shelf, memory };
}

async function put(shelf, wanted) {
  const { entry } = await shelf.begin(wanted);
  return shelf.append(entry, bytes(wanted.size));
}

const held = (shelf) => [...shelf.held(new Map())];
const listed = async (memory) => (await memory.list()).map(({ trackId }) => trackId);

test('when the browser is full, the least recently used goes and the write is tried once more', async () => {
  let refusals = 1;
  const { shelf, memory } = await filled((back) => ({
    append: async (entry, part) => {
      if (entry.trackId === 'd' && refusals-- > 0) throw new DOMException('full', 'QuotaExceededError');
      await back.append(entry, part);
    },
  }));
  await put(shelf, track('d'));
  assert.deepEqual(held(shelf), ['b', 'c', 'd']);
  assert.deepEqual(await listed(memory), ['b', 'c', 'd']);
});

test('when the browser stays full, that is said, and it is not tried a third time', async () => {
  let tries = 0;
  const { shelf } = await filled((back) => ({
    append: async (entry, part) => {
      if (entry.trackId !== 'd') return back.append(entry, part);
      tries += 1;
      throw new DOMException('full', 'QuotaExceededError');
    },
  }));
  await assert.rejects(put(shelf, track('d')), { name: 'QuotaExceededError' });
  assert.equal(tries, 2);
  assert.equal(shelf.mayFit(4), true);
  assert.equal(shelf.mayFit(100), false);
});

test('a track of which the browser took a part back is not given out, and is gone', async () => {
  const { shelf, memory } = await filled((back) => ({
    read: async (entry) => (entry.trackId === 'b' ? new Blob([bytes(3)]) : back.read(entry)),
  }));
  assert.equal(await shelf.read('b'), null);
  assert.deepEqual(held(shelf), ['a', 'c']);
  assert.deepEqual(await listed(memory), ['a', 'c']);
  assert.equal((await shelf.read('a')).size, 4);
});

test('cleared, nothing stays, also of what nobody knows of', async () => {
  const { shelf, memory } = await filled();
  await memory.append({ ...track('stray'), receivedBytes: 4, parts: 1, usedAtMs: 0 }, bytes(4));
  await shelf.clear();
  assert.deepEqual(held(shelf), []);
  assert.deepEqual(await listed(memory), []);
});

test('cleared while one sounds, that one stays and no other', async () => {
  const { shelf, memory } = await filled(undefined, undefined, 'b');
  await shelf.clear();
  assert.deepEqual(held(shelf), ['b']);
  assert.deepEqual(await listed(memory), ['b']);
});

test('of what has changed on the server, the one that sounds plays on as it is', async () => {
  const { shelf, memory } = await filled(undefined, undefined, 'b');
  const index = new Map(['a', 'b', 'c'].map((id) => [id, { ...track(id), version: id === 'a' ? 'v1' : 'v2' }]));
  await shelf.follow(index);
  assert.deepEqual([...shelf.held(index)], ['a', 'b']);
  assert.deepEqual(await listed(memory), ['a', 'b']);
});
