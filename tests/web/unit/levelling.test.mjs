// How loud a track is played: the same on all phones, by the room's gain, or as the server would decide while it is away.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { levelGainDb, outputGain, trackGain } from '../../../static/js/sound/levelling.js';
import { playing } from '../support/rooms.mjs';

const CASES = JSON.parse(readFileSync(new URL('../../fixtures/levelling.json', import.meta.url), 'utf8'));
for (const { name, track, previous = null, nextAlbum, expected } of CASES) {
  test(`as on the server, ${name}`, () => {
    const played = previous && { albumId: previous.album ?? undefined, gainDb: previous.gainDb };
    assert.equal(levelGainDb(track, played, nextAlbum ?? undefined), expected);
  });
}

const db = (/** @type {number} */ factor) => Math.round(2_000 * Math.log10(factor)) / 100;
const SETTINGS = /** @type {any} */ ({ isLevelling: true, volume: 1, isMuted: false });
const INDEX = /** @type {any} */ (new Map([
  ['b', { gainDb: -1, peak: 0.1, albumId: 1 }],
  ['c', { gainDb: -2, peak: 0.1, albumId: 1, albumGainDb: -5 }],
  ['d', { gainDb: -3, peak: 0.1, albumId: 2 }],
  ['f', { gainDb: -4, peak: 0.1, albumId: 2 }],
]));
/** A room that plays `b`, followed by `c`, `d`, `e` and `a`. */
const roomWith = (/** @type {object} */ overrides) => /** @type {any} */ (playing(0, { gainDb: -8, ...overrides }));

for (const [name, roomOverrides, trackId, expected] of /** @type {const} */ ([
  ['the current track has the gain of the room', {}, 'b', -8],
  ['a current track of unknown loudness is played as it is', { gainDb: null }, 'b', 0],
  ['next-up has the gain that the segue promises', { live: { segue: { trackId: 'c', gainDb: -4, eventCount: 7 } } }, 'c', -4],
  ['an outdated promise does not count', { live: { segue: { trackId: 'c', gainDb: -4, eventCount: 6 } } }, 'c', -8],
  ['a track after a promised one of its album goes on with the promised gain', { live: { segue: { trackId: 'd', gainDb: -9, eventCount: 7 } }, queue: ['a', 'b', 'd', 'f', 'c'] }, 'f', -9],
  ['without the server, a track of the same album goes on with its gain', { live: { segue: null } }, 'c', -8],
  ['without the server, another track has its own gain', { live: { segue: null } }, 'd', -3],
  ['without the server, a track of unknown loudness is played as it is', { live: { segue: null } }, 'e', 0],
])) {
  test(name, () => assert.equal(db(trackGain({ room: roomWith(roomOverrides), index: INDEX, settings: SETTINGS }, trackId)), expected));
}

test('the level in a long queue is found without searching the queue', () => {
  const ids = Array.from({ length: 2_000 }, (_, i) => `t${i}`);
  let readCount = 0;
  const queue = new Proxy(ids, {
    get: (target, name) => {
      readCount += 1;
      return Reflect.get(target, name);
    },
  });
  const index = /** @type {any} */ (new Map(ids.map((id) => [id, { gainDb: -3, peak: 0.1 }])));
  const levelOf = (/** @type {string} */ id) => trackGain({ room: roomWith({ queue, queueIndex: 0 }), index, settings: SETTINGS }, id);
  assert.equal(db(levelOf('t1999')), -3);
  assert.ok(readCount < 20 * ids.length, `${readCount} reads`);
  readCount = 0;
  assert.equal(db(levelOf('t2')), -3);
  assert.ok(readCount < 100, `${readCount} reads for a track near the current one`);
});

test('a phone whose levelling is off plays each track as it is', () => {
  assert.equal(trackGain({ room: roomWith({}), index: INDEX, settings: { ...SETTINGS, isLevelling: false } }, 'b'), 1);
});

test('volume, trim and mute set the gain of this phone', () => {
  const clients = { m1: { name: '', trimDb: -6 }, m2: { name: '' } };
  const gain = (/** @type {string} */ memberId, /** @type {object} */ settings) =>
    outputGain({ room: roomWith({ clients }), memberId, settings: { ...SETTINGS, ...settings } });
  assert.equal(gain('m2', {}), 1);
  assert.equal(db(gain('m1', {})), -6);
  assert.equal(db(gain('m2', { volume: 0.5 })), -12.04);
  assert.equal(db(gain('m1', { volume: 0.5 })), -18.04);
  assert.equal(gain('m1', { isMuted: true }), 0);
  assert.equal(outputGain({ room: null, memberId: null, settings: SETTINGS }), 1);
});
