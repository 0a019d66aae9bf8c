import assert from 'node:assert/strict';
import test from 'node:test';
import { RANK, acksDue, budget, isWhole, outdated, ranks, toEvict, wanted } from '../../../static/js/cache.js';
import { barrier, room } from '../support/rooms.mjs';

const index = new Map(['a', 'b', 'c', 'd', 'e'].map((trackId) => [trackId, { trackId, version: 'v1', size: 10 }]));
const entry = (trackId, receivedBytes, usedAtMs, over = {}) => ({ trackId, version: 'v1', mime: '', size: receivedBytes, receivedBytes, parts: 1, usedAtMs, ...over });

/** Ten bytes a track, five tracks; `b` plays, `c` is next. */
const scene = (over = {}) => ({ room: room(), index, held: new Set(), unplayable: new Map(), budgetBytes: 1_000, ...over });

const fetches = [
  ['the current one first, then those that follow, round the ring', {}, ['b', 'c', 'd', 'e', 'a']],
  ['as far ahead as there is room', { budgetBytes: 40 }, ['b', 'c', 'd', 'e']],
  ['as far ahead as there is room beside what is here already', { budgetBytes: 40, held: new Set(['b', 'c', 'd']) }, ['e']],
  ['nothing ahead where the last ones played take the room', { budgetBytes: 40, held: new Set(['a', 'e']) }, ['b', 'c']],
  ['the current one and next-up even without room', { budgetBytes: 0 }, ['b', 'c']],
  ['not what is too large, but what comes after it', { budgetBytes: 45, index: new Map(index).set('d', { trackId: 'd', version: 'v1', size: 30 }) }, ['b', 'c', 'e', 'a']],
  ['what is here is not fetched again', { held: new Set(['b']) }, ['c', 'd', 'e', 'a']],
  ['what cannot be played is not fetched, and takes no room', { budgetBytes: 40, unplayable: new Map([['c', 'format']]) }, ['b', 'd', 'e', 'a']],
  ['what the index does not know cannot be fetched', { index: new Map([['c', index.get('c')]]) }, ['c']],
  ['a nudged track is next', { room: room({ queue: ['a', 'b', 'e', 'c', 'd'] }) }, ['b', 'e', 'c', 'd', 'a']],
  ['while somebody is waited for, nothing ahead', { room: room({ barrier: barrier() }) }, ['b', 'c']],
  ['a ring of one is fetched once', { room: room({ queue: ['a'], queueIndex: 0 }) }, ['a']],
  ['an empty room wants nothing', { room: room({ queue: [], queueIndex: 0 }) }, []],
];
for (const [name, over, ids] of fetches) {
  test(`fetching: ${name}`, () => {
    const { held, ...rest } = scene(over);
    const fetched = wanted({ held, ...rest }).map(({ trackId }) => trackId);
    assert.deepEqual(fetched.filter((trackId) => !held.has(trackId)), ids);
  });
}

test('dearest are current and next-up, then the last three played, then what is ahead, as far as there is room', () => {
  const queue = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i'];
  const large = new Map(queue.map((trackId) => [trackId, { trackId, version: 'v1', size: 10 }]));
  const rankIn = (/** @type {object} */ over, held = ['a', 'b', 'c']) => {
    const rank = ranks(scene({ index: large, held: new Set(held), room: room({ queue, ...over }), budgetBytes: 70 }));
    const group = ([name, value]) => [name, queue.filter((id) => rank(id) === value)];
    return Object.fromEntries(Object.entries(RANK).map(group));
  };
  assert.deepEqual(rankIn({ queueIndex: 3 }), { urgent: ['d', 'e'], played: ['a', 'b', 'c'], ahead: ['f', 'g'], other: ['h', 'i'] });
  assert.deepEqual(rankIn({ queueIndex: 0 }, []), { urgent: ['a', 'b'], played: ['g', 'h', 'i'], ahead: ['c', 'd', 'e', 'f'], other: [] });
  assert.deepEqual(rankIn({ queueIndex: 0, barrier: barrier({ trackId: 'e' }) }, []).urgent, ['a', 'b', 'e']);
});

const shelf = [entry('a', 40, 3), entry('b', 30, 1), entry('c', 20, 2)];
const all = { a: RANK.other, b: RANK.other, c: RANK.other };
const evictions = [
  ['nothing goes while there is room', all, RANK.ahead, 10, 100, []],
  ['the least recently used goes first', all, RANK.ahead, 20, 100, ['b']],
  ['as many go as must', all, RANK.ahead, 45, 90, ['b', 'c']],
  ['what nobody needs goes before what is ahead', { ...all, b: RANK.ahead }, RANK.ahead, 20, 100, ['c']],
  ['what is ahead goes for what is urgent', { ...all, b: RANK.ahead }, RANK.ahead, 71, 100, ['c', 'a', 'b']],
  ['what is ahead does not go for what is ahead', { a: RANK.ahead, b: RANK.ahead, c: RANK.other }, RANK.other, 70, 100, ['c']],
  ['the last ones played stay', { ...all, b: RANK.played }, RANK.ahead, 80, 60, ['c', 'a']],
  ['the last ones played go when the browser is full', { a: RANK.played, b: RANK.played, c: RANK.urgent }, RANK.played, 20, 90, ['b']],
  ['current and next-up never go', { a: RANK.urgent, b: RANK.urgent, c: RANK.urgent }, RANK.played, 50, 60, []],
];
for (const [name, rank, most, need, limit, ids] of evictions) {
  test(`eviction: ${name}`, () => assert.deepEqual(toEvict(shelf, (id) => rank[id], most, need, limit), ids));
}

test('the budget comes from the browser, or is fixed where it does not tell', () => {
  assert.equal(budget(null, 10, 500), 500);
  assert.equal(budget({}, 10, 500), 500);
  assert.equal(budget({ quota: 1_000, usage: 400 }, 300, 500), 720);
  assert.equal(budget({ quota: 100, usage: 400 }, 0, 500), 0);
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
