// The download order, the ranks of tracks, the eviction, and the size limit of the cache.

import assert from 'node:assert/strict';
import test from 'node:test';
import {
  RANK, isComplete, outdatedTrackIds, rankFunction, storageBudget, trackIdsToEvict, downloadOrder,
} from '../../../static/js/tracks/cache-policy.js';
import { barrier, room } from '../support/rooms.mjs';

const index = new Map(['a', 'b', 'c', 'd', 'e'].map((trackId) => [trackId, { trackId, version: 'v1', size: 10 }]));
const entry = (trackId, receivedBytes, usedAtMs, overrides = {}) => ({ trackId, version: 'v1', mime: '', size: receivedBytes, receivedBytes, partCount: 1, usedAtMs, ...overrides });

/** Five tracks of ten bytes each; `b` is current, `c` is next-up. */
const inputs = (overrides = {}) => ({ room: room(), index, cachedTrackIds: new Set(), unplayableReasons: new Map(), budgetBytes: 1_000, ...overrides });

const picks = (...trackIds) => trackIds.map((trackId) => ({ trackId, by: 'm1', votes: [], pinned: false }));

/** [name, inputs, expected download order of the tracks that are not stored] */
const downloads = [
  ['is the queue order from the current track on', {}, ['b', 'c', 'd', 'e', 'a']],
  ['ends at the budget', { budgetBytes: 40 }, ['b', 'c', 'd', 'e']],
  ['counts stored tracks in the budget', { budgetBytes: 40, cachedTrackIds: new Set(['b', 'c', 'd']) }, ['e']],
  ['prefetches nothing beyond retained recent tracks', { budgetBytes: 40, cachedTrackIds: new Set(['a', 'e']) }, ['b', 'c']],
  ['contains the current track and next-up without any budget', { budgetBytes: 0 }, ['b', 'c']],
  ['skips a track that is too large', { budgetBytes: 45, index: new Map(index).set('d', { trackId: 'd', version: 'v1', size: 30 }) }, ['b', 'c', 'e', 'a']],
  ['leaves out stored tracks', { cachedTrackIds: new Set(['b']) }, ['c', 'd', 'e', 'a']],
  ['leaves out unplayable tracks, which use no budget', { budgetBytes: 40, unplayableReasons: new Map([['c', 'format']]) }, ['b', 'd', 'e', 'a']],
  ['leaves out tracks that are not in the index', { index: new Map([['c', index.get('c')]]) }, ['c']],
  ['follows a nudge', { room: room({ queue: ['a', 'b', 'e', 'c', 'd'] }) }, ['b', 'e', 'c', 'd', 'a']],
  ['begins with picks, although recent tracks are stored', { budgetBytes: 40, cachedTrackIds: new Set(['a', 'e']), room: room({ picks: picks('c', 'd') }) }, ['b', 'c', 'd']],
  ['keeps a recent track that fits beside the picks', { budgetBytes: 50, cachedTrackIds: new Set(['a']), room: room({ picks: picks('c', 'd', 'e') }) }, ['b', 'c', 'd', 'e']],
  ['prefetches nothing during a barrier', { room: room({ barrier: barrier() }) }, ['b', 'c']],
  ['contains the only track of a queue once', { room: room({ queue: ['a'], queueIndex: 0 }) }, ['a']],
  ['is empty for an empty queue', { room: room({ queue: [], queueIndex: 0 }) }, []],
];
for (const [name, overrides, expectedIds] of downloads) {
  test(`the download order ${name}`, () => {
    const { cachedTrackIds, ...rest } = inputs(overrides);
    const orderedIds = downloadOrder({ cachedTrackIds, ...rest }).map(({ trackId }) => trackId);
    assert.deepEqual(orderedIds.filter((trackId) => !cachedTrackIds.has(trackId)), expectedIds);
  });
}

test('each track is ranked urgent, recent, prefetched, other or absent', () => {
  const queue = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i'];
  const largeIndex = new Map(queue.map((trackId) => [trackId, { trackId, version: 'v1', size: 10 }]));
  const tracksByRank = (/** @type {object} */ overrides, cachedTrackIds = ['a', 'b', 'c']) => {
    const rankOf = rankFunction(inputs({ index: largeIndex, cachedTrackIds: new Set(cachedTrackIds), room: room({ queue, ...overrides }), budgetBytes: 70 }));
    return Object.fromEntries(Object.entries(RANK).map(([name, rank]) => [name, queue.filter((id) => rankOf(id) === rank)]));
  };
  assert.deepEqual(tracksByRank({ queueIndex: 3 }), { urgent: ['d', 'e'], recent: ['a', 'b', 'c'], prefetched: ['f', 'g'], other: ['h', 'i'], absent: [] });
  assert.deepEqual(tracksByRank({ queueIndex: 0 }, []), { urgent: ['a', 'b'], recent: ['g', 'h', 'i'], prefetched: ['c', 'd', 'e', 'f'], other: [], absent: [] });
  assert.deepEqual(tracksByRank({ queueIndex: 0, barrier: barrier({ trackId: 'e' }) }, []).urgent, ['a', 'b', 'e']);
  const shortQueue = ['a', 'b', 'c'];
  largeIndex.delete('h');
  assert.deepEqual(tracksByRank({ queue: shortQueue, queueIndex: 0 }), { urgent: ['a', 'b'], recent: ['c'], prefetched: [], other: ['d', 'e', 'f', 'g', 'i'], absent: ['h'] });
});

test('recent tracks give way to picks, the picks to nothing but urgent tracks', () => {
  const tracks = ['a', 'b', 'c', 'd', 'e'];
  const rankOf = rankFunction(inputs({ budgetBytes: 40, cachedTrackIds: new Set(tracks), room: room({ picks: picks('c', 'd', 'e') }) }));
  assert.deepEqual(tracks.map(rankOf), [RANK.other, RANK.urgent, RANK.urgent, RANK.recent, RANK.recent]);
});

test('a track of the queue keeps its rank without an index', () => {
  const queue = ['a', 'b', 'c', 'd', 'e', 'f'];
  const rankOf = rankFunction(inputs({ index: new Map(), room: room({ queue, queueIndex: 0 }) }));
  assert.deepEqual(['a', 'b', 'c', 'zz'].map(rankOf), [RANK.urgent, RANK.urgent, RANK.prefetched, RANK.absent]);
});

const storedEntries = [entry('a', 40, 3), entry('b', 30, 1), entry('c', 20, 2)];
const allOther = { a: RANK.other, b: RANK.other, c: RANK.other };
/** [name, rank of each track, highest rank to evict, needed bytes, limit in bytes, evicted tracks] */
const evictions = [
  ['evicts nothing while there is space', allOther, RANK.prefetched, 10, 100, []],
  ['evicts the least recently used track first', allOther, RANK.prefetched, 20, 100, ['b']],
  ['evicts as many tracks as necessary', allOther, RANK.prefetched, 45, 90, ['b', 'c']],
  ['evicts absent tracks before all others', { ...allOther, a: RANK.absent }, RANK.other, 20, 100, ['a']],
  ['evicts other tracks before prefetched ones', { ...allOther, b: RANK.prefetched }, RANK.prefetched, 20, 100, ['c']],
  ['evicts prefetched tracks for an urgent one', { ...allOther, b: RANK.prefetched }, RANK.prefetched, 71, 100, ['c', 'a', 'b']],
  ['evicts no prefetched track for another prefetched one', { a: RANK.prefetched, b: RANK.prefetched, c: RANK.other }, RANK.other, 70, 100, ['c']],
  ['keeps recently played tracks', { ...allOther, b: RANK.recent }, RANK.prefetched, 80, 60, ['c', 'a']],
  ['evicts recently played tracks when the browser refuses a write', { a: RANK.recent, b: RANK.recent, c: RANK.urgent }, RANK.recent, 20, 90, ['b']],
  ['never evicts urgent tracks', { a: RANK.urgent, b: RANK.urgent, c: RANK.urgent }, RANK.recent, 50, 60, []],
];
for (const [name, ranks, maxRank, neededBytes, limitBytes, expectedIds] of evictions) {
  test(`the cache ${name}`, () => assert.deepEqual(trackIdsToEvict(storedEntries, (id) => ranks[id], maxRank, neededBytes, limitBytes), expectedIds));
}

test('the storage budget is a share of the quota, if known', () => {
  assert.equal(storageBudget(null, 10, 500), 500);
  assert.equal(storageBudget({}, 10, 500), 500);
  assert.equal(storageBudget({ quota: 1_000, usage: 400 }, 300, 500), 720);
  assert.equal(storageBudget({ quota: 100, usage: 400 }, 0, 500), 0);
});

test('a track is outdated if the index has another version of it', () => {
  const entries = [entry('a', 1, 0), entry('b', 1, 0, { version: 'v0' }), entry('zz', 1, 0)];
  assert.deepEqual(outdatedTrackIds(entries, index), ['b']);
});

test('an entry is complete when all its bytes are stored', () => {
  assert.equal(isComplete(entry('a', 5, 0)), true);
  assert.equal(isComplete(entry('a', 5, 0, { size: 6 })), false);
});
