// The warning about this phone's storage.

import assert from 'node:assert/strict';
import test from 'node:test';
import { createPlayability } from '../../../static/js/tracks/playability.js';
import { createStore } from '../../../static/js/store.js';
import { storageWarningOf } from '../../../static/js/ui/storage-warning.js';

function createScene() {
  const index = new Map(['a', 'b'].map((trackId) => [trackId, { trackId, mime: 'audio/mpeg', version: 'v1' }]));
  const store = createStore({ index, unplayableReasons: new Map(), hasStorageFailed: false });
  return { store, playability: createPlayability({ store, canPlay: () => true }), warning: () => storageWarningOf(store.get()) };
}

test('without a problem there is no storage warning', () => {
  const { playability, warning } = createScene();
  playability.markUnplayable('a', 'format');
  assert.equal(warning(), '');
});

test('the warning of a full storage lasts until no track lacks space', () => {
  const { playability, warning } = createScene();
  playability.markUnplayable('a', 'space');
  playability.markUnplayable('b', 'space');
  playability.retryTracksLackingSpace((trackId) => trackId === 'a');
  assert.match(warning(), /storage is full/);
  playability.retryTracksLackingSpace(() => true);
  assert.equal(warning(), '');
});

test('the warning of a failed storage remains when space is freed', () => {
  const { store, playability, warning } = createScene();
  playability.markUnplayable('a', 'space');
  store.update({ hasStorageFailed: true });
  playability.retryTracksLackingSpace(() => true);
  assert.match(warning(), /cannot store music/);
});
