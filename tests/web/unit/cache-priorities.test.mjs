// The priorities that the track cache derives from the room and the player.

import assert from 'node:assert/strict';
import test from 'node:test';
import { createCachePriorities } from '../../../static/js/app/cache-priorities.js';
import { createStore } from '../../../static/js/store.js';
import { room } from '../support/rooms.mjs';

const INDEX = new Map([['b', { trackId: 'b', version: 'v2', duration: 200 }]]);

function createPriorities({ playingTrackId = null, prepared = undefined, state = {} }) {
  const store = createStore({ room: room(), index: INDEX, cachedTrackIds: new Set(), unplayableReasons: new Map(), settings: { storageMb: 3 }, ...state });
  return createCachePriorities({ store, playingTrackId: () => playingTrackId, preparedTrack: () => prepared });
}

test('the playing track is protected unless version and duration in the index differ', () => {
  const protectedWith = (/** @type {object} */ prepared, state = {}) => createPriorities({ playingTrackId: 'b', prepared, state }).protectedTrackId();
  assert.equal(protectedWith({ version: 'v1', indexedSec: 200 }), 'b');
  assert.equal(createPriorities({ playingTrackId: 'b' }).protectedTrackId(), 'b');
  assert.equal(protectedWith({ version: 'v1', indexedSec: 190 }), null);
  assert.equal(createPriorities({}).protectedTrackId(), null);
});

test('a corrected duration of the playing track does not end its protection', () => {
  const protectedWith = (/** @type {object} */ track) =>
    createPriorities({ playingTrackId: 'b', prepared: { version: 'v1', indexedSec: 200 }, state: { index: new Map([['b', track]]) } }).protectedTrackId();
  assert.equal(protectedWith({ version: 'v1', duration: 204 }), 'b', 'the server has corrected its index');
  assert.equal(protectedWith({ version: 'v2', duration: 204, uncorrectedDuration: 200 }), 'b', 'new tags, and the same wrong header');
  assert.equal(protectedWith({ version: 'v2', duration: 200, uncorrectedDuration: 204 }), null);
});

test('the current track and next-up are urgent', () => {
  const { isUrgent } = createPriorities({});
  assert.deepEqual(['a', 'b', 'c', 'd'].filter(isUrgent), ['b', 'c']);
});

test('without a room no track is urgent and all ranks are equal', () => {
  const { isUrgent, rankFunction } = createPriorities({ state: { room: null } });
  const rank = rankFunction(1e9);
  assert.equal(isUrgent('b'), false);
  assert.equal(rank('a'), rank('b'));
});

test('the storage limit is in decimal megabytes', () => {
  assert.equal(createPriorities({}).settingsLimitBytes(), 3_000_000);
});
