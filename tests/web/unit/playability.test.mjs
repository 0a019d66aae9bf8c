// Which tracks count as unplayable, and for which reason.

import assert from 'node:assert/strict';
import test from 'node:test';
import { createPlayability } from '../../../static/js/tracks/playability.js';
import { createStore } from '../../../static/js/store.js';

const track = (trackId, overrides = {}) => [trackId, { trackId, version: 'v1', mime: 'audio/mpeg', ...overrides }];

/** Four tracks, of which the browser does not support the format of `b`. */
function createScene() {
  const index = new Map([track('a'), track('b', { mime: 'audio/aiff' }), track('c'), track('d')]);
  const store = createStore(/** @type {any} */ ({ index, unplayableReasons: new Map() }));
  const playability = createPlayability({ store, canPlay: (mime) => mime !== 'audio/aiff' });
  playability.refresh();
  return { store, playability, index, unplayable: () => Object.fromEntries(store.get().unplayableReasons) };
}

test('unsupported format, lack of space or postponed download makes tracks unplayable', () => {
  const { playability, unplayable } = createScene();
  assert.deepEqual(unplayable(), { b: 'format' });
  playability.markUnplayable('a', 'format');
  playability.markUnplayable('c', 'space');
  playability.setPostponed(new Set(['d', 'a']));
  assert.deepEqual(unplayable(), { a: 'format', b: 'format', c: 'space', d: 'fetch' });
  playability.setPostponed(new Set());
  assert.deepEqual(unplayable(), { a: 'format', b: 'format', c: 'space' });
});

test('a new version of an unplayable track is tried again', () => {
  const { playability, unplayable, store, index } = createScene();
  playability.markUnplayable('a', 'format');
  store.update({ index: new Map(index).set(...track('a', { version: 'v2' })) });
  playability.refresh();
  assert.deepEqual(unplayable(), { b: 'format' });
});

test('only tracks that lacked space and now fit are tried again', () => {
  const { playability, unplayable } = createScene();
  playability.markUnplayable('a', 'format');
  playability.markUnplayable('c', 'space');
  playability.markUnplayable('d', 'space');
  playability.retryTracksLackingSpace((trackId) => trackId !== 'd');
  assert.deepEqual(unplayable(), { a: 'format', b: 'format', d: 'space' });
});
