import assert from 'node:assert/strict';
import test from 'node:test';
import { FIXED_BUDGET_BYTES, acksDue, budget, isWhole, outdated, pinned, toEvict, wanted } from '../../../static/js/cache.js';
import { barrier, room } from '../support/rooms.mjs';

const index = new Map(['a', 'b', 'c', 'd', 'e'].map((trackId) => [trackId, { trackId, version: 'v1', size: 10 }]));
const entry = (trackId, receivedBytes, usedAtMs, over = {}) => ({ trackId, version: 'v1', mime: '', size: receivedBytes, receivedBytes, parts: 1, usedAtMs, ...over });

const fetches = [
  ['the current one first, then those that follow', {}, ['b', 'c', 'd']],
  ['what is here is not fetched again', { held: new Set(['b']) }, ['c', 'd']],
  ['what cannot be played is not fetched', { unplayable: new Map([['c', 'audio/aiff']]) }, ['b', 'd']],
  ['what the index does not know cannot be fetched', { index: new Map([['c', index.get('c')]]) }, ['c']],
  ['a nudged track is next', { room: room({ queue: ['a', 'b', 'e', 'c', 'd'] }) }, ['b', 'e', 'c']],
  ['a barrier’s track counts once', { room: room({ barrier: barrier() }) }, ['b', 'c', 'd']],
  ['a ring of one is fetched once', { room: room({ queue: ['a'], queueIndex: 0 }) }, ['a']],
  ['an empty room wants nothing', { room: room({ queue: [], queueIndex: 0 }) }, []],
];
for (const [name, over, ids] of fetches) {
  test(`fetching: ${name}`, () => {
    const list = wanted({ room: room(), index, held: new Set(), unplayable: new Map(), ...over });
    assert.deepEqual(list.map(({ trackId }) => trackId), ids);
  });
}

test('current, next-up and the last three played are pinned', () => {
  const queue = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
  assert.deepEqual([...pinned(room({ queue, queueIndex: 4 }))].sort(), ['b', 'c', 'd', 'e', 'f']);
  assert.deepEqual([...pinned(room({ queue, queueIndex: 0 }))].sort(), ['a', 'b', 'f', 'g', 'h']);
  assert.deepEqual([...pinned(room({ queue: ['a'], queueIndex: 0 }))], ['a']);
  assert.deepEqual([...pinned(room({ queue: [], queueIndex: 0 }))], []);
});

const shelf = [entry('a', 40, 3), entry('b', 30, 1), entry('c', 20, 2)];
const evictions = [
  ['nothing goes while there is room', new Set(), 10, 100, []],
  ['the least recently used goes first', new Set(), 20, 100, ['b']],
  ['as many go as must', new Set(), 45, 90, ['b', 'c']],
  ['what is pinned stays', new Set(['b']), 20, 100, ['c']],
  ['what is pinned stays even when it is not enough', new Set(['a', 'b', 'c']), 50, 60, []],
];
for (const [name, pins, need, limit, ids] of evictions) {
  test(`eviction: ${name}`, () => assert.deepEqual(toEvict(shelf, pins, need, limit), ids));
}

test('the budget comes from the browser, or is fixed where it does not tell', () => {
  assert.equal(budget(null, 10), FIXED_BUDGET_BYTES);
  assert.equal(budget({}, 10), FIXED_BUDGET_BYTES);
  assert.equal(budget({ quota: 1_000, usage: 400 }, 300), 720);
  assert.equal(budget({ quota: 100, usage: 400 }, 0), 0);
});

test('what the library has no more, or in another version, is outdated', () => {
  const entries = [entry('a', 1, 0), entry('b', 1, 0, { version: 'v0' }), entry('zz', 1, 0)];
  assert.deepEqual(outdated(entries, index), ['b', 'zz']);
});

test('an entry is whole when all its bytes are there', () => {
  assert.equal(isWhole(entry('a', 5, 0)), true);
  assert.equal(isWhole(entry('a', 5, 0, { size: 6 })), false);
});

const here = (...ids) => (id) => ids.includes(id);
const acks = [
  ['what is here of current and next-up', room(), here('b', 'c', 'd'), [], ['b', 'c']],
  ['what is not here is not told of', room(), here('c'), [], ['c']],
  ['what was told on this connection is not told again', room(), here('b', 'c'), ['b', 'c'], []],
  ['a barrier that misses this phone is told again', room({ barrier: barrier({ ready: [] }) }), here('b', 'c'), ['b', 'c'], ['b']],
  ['a barrier that counts it as ready is not', room({ barrier: barrier() }), here('b', 'c'), ['b', 'c'], []],
  ['a barrier without this phone is not', room({ barrier: barrier({ members: ['m2'], ready: [] }) }), here('b'), ['b'], []],
];
for (const [name, where, decided, told, ids] of acks) {
  test(`acknowledging: ${name}`, () => {
    assert.deepEqual(acksDue({ room: where, memberId: 'm1', decided, told: new Set(told) }), ids);
  });
}
