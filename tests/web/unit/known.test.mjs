import assert from 'node:assert/strict';
import test from 'node:test';
import { changes, complete } from '../../../static/js/cache/known.js';

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
