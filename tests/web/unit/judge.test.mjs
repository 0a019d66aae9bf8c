import assert from 'node:assert/strict';
import test from 'node:test';
import { createJudge } from '../../../static/js/judge.js';
import { createStore } from '../../../static/js/store.js';

const track = (trackId, over = {}) => [trackId, { trackId, version: 'v1', mime: 'audio/mpeg', ...over }];

function scene() {
  const index = new Map([track('a'), track('b', { mime: 'audio/aiff' }), track('c'), track('d')]);
  const store = createStore(/** @type {any} */ ({ index, unplayable: new Map() }));
  const judge = createJudge({ store, canPlay: (mime) => mime !== 'audio/aiff' });
  judge.judge();
  return { store, judge, index, verdicts: () => Object.fromEntries(store.get().unplayable) };
}

test('what the browser does not know, what failed to decode, what found no room and what cannot be fetched is not played', () => {
  const { judge, verdicts } = scene();
  assert.deepEqual(verdicts(), { b: 'format' });
  judge.fail('a', 'format');
  judge.fail('c', 'room');
  judge.putAside(new Set(['d', 'a']));
  assert.deepEqual(verdicts(), { a: 'format', b: 'format', c: 'room', d: 'fetch' });
  judge.putAside(new Set());
  assert.deepEqual(verdicts(), { a: 'format', b: 'format', c: 'room' });
});

test('a file that was replaced is tried anew', () => {
  const { judge, verdicts, store, index } = scene();
  judge.fail('a', 'format');
  store.update({ index: new Map(index).set(...track('a', { version: 'v2' })) });
  judge.judge();
  assert.deepEqual(verdicts(), { b: 'format' });
});

test('what found no room is tried again where it may fit, and nothing else is', () => {
  const { judge, verdicts } = scene();
  judge.fail('a', 'format');
  judge.fail('c', 'room');
  judge.fail('d', 'room');
  judge.retry((trackId) => trackId !== 'd');
  assert.deepEqual(verdicts(), { a: 'format', b: 'format', d: 'room' });
});

test('that the storage is full is said as long as anything lacks room', () => {
  const { judge, store } = scene();
  store.update({ storageNote: 'full' });
  judge.fail('c', 'room');
  judge.fail('d', 'room');
  judge.retry((trackId) => trackId !== 'd');
  assert.equal(store.get().storageNote, 'full');
  judge.retry(() => true);
  assert.equal(store.get().storageNote, null);
});

test('what else is wrong with the storage stays said', () => {
  const { judge, store } = scene();
  store.update({ storageNote: 'another' });
  judge.fail('a', 'format');
  assert.equal(store.get().storageNote, 'another');
});
