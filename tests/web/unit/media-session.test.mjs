import assert from 'node:assert/strict';
import test from 'node:test';
import { commandOf, isOff, showing } from '../../../static/js/media-session.js';
import { barrier, playing, room } from '../support/rooms.mjs';

const track = { trackId: 'b', version: 'v1', size: 10, duration: 60, tags: { title: 'Beta' } };
const state = (over = {}) => ({
  view: 'room',
  room: playing(1_000),
  index: new Map([['b', track]]),
  clock: { atMs: 0, offsetMs: 0, drift: 0, roundTripMs: 1, slowTripMs: 1 },
  sound: { locked: false, sounding: true, errorMs: null, overlay: null },
  presses: [],
  ...over,
});
const place = (position) => ({ duration: 60, position, playbackRate: 1 });

const views = [
  ['what plays, and where', {}, { track, playback: 'playing', position: place(8) }],
  ['what is paused, and where', { room: room({ playState: { mode: 'paused', anchorPositionSec: 5 } }) }, { track, playback: 'paused', position: place(5) }],
  ['Pause, and no place, while somebody is waited for', { room: room({ barrier: barrier() }) }, { track, playback: 'playing', position: null }],
  ['Play, where the music runs but needs a tap here', { sound: { locked: true, overlay: null } }, { track, playback: 'paused', position: place(8) }],
  ['no place where nobody knows how long it is', { index: new Map([['b', { ...track, duration: undefined }]]) }, { track: { ...track, duration: undefined }, playback: 'playing', position: null }],
  ['a press before the server has answered', { presses: [{ name: 'pause', positionSec: 7, trackId: 'b' }] }, { track, playback: 'paused', position: place(7) }],
  ['nothing, where nothing is current', { room: room({ queue: [], queueIndex: 0 }) }, { track: null, playback: 'none', position: null }],
  ['nothing, at the door', { view: 'join', room: null }, { track: null, playback: 'none', position: null }],
];
for (const [name, over, expected] of views) {
  test(`the lock screen shows ${name}`, () => assert.deepEqual(showing(state(over), 9_000), expected));
}

const shown = { track, playback: 'playing', position: place(8) };
const told = { ...shown, atMs: 9_000 };
const drifts = [
  ['as it was to be', { ...shown, position: place(18) }, false],
  ['a little off', { ...shown, position: place(18.2) }, false],
  ['somewhere else', { ...shown, position: place(30) }, true],
  ['paused there', { ...shown, playback: 'paused', position: place(18) }, true],
  ['of another length', { ...shown, position: { ...place(18), duration: 70 } }, true],
  ['nowhere', { ...shown, position: null }, true],
];
for (const [name, next, expected] of drifts) {
  test(`the position is told ${expected ? 'anew' : 'once'} when ten seconds later it is ${name}`, () => {
    assert.equal(isOff(told, next, 19_000), expected);
  });
}
test('a paused position stays told', () => {
  const paused = { ...shown, playback: 'paused' };
  assert.equal(isOff({ ...paused, atMs: 0 }, paused, 60_000), false);
  assert.equal(isOff({ ...paused, position: null, atMs: 0 }, { ...paused, position: null }, 60_000), false);
});

const keys = [
  [{ action: 'play' }, false, { name: 'play', positionSec: 8 }],
  [{ action: 'play' }, true, null],
  [{ action: 'pause' }, true, { name: 'pause', positionSec: 8 }],
  [{ action: 'pause' }, false, null],
  [{ action: 'nexttrack' }, true, { name: 'next' }],
  [{ action: 'seekto', seekTime: 33 }, true, { name: 'seek', positionSec: 33 }],
  [{ action: 'seekto', seekTime: 99 }, true, { name: 'seek', positionSec: 60 }],
  [{ action: 'seekto' }, true, null],
  [{ action: 'seekforward' }, true, { name: 'seek', positionSec: 18 }],
  [{ action: 'seekforward', seekOffset: 30 }, true, { name: 'seek', positionSec: 38 }],
  [{ action: 'seekbackward' }, true, { name: 'seek', positionSec: 0 }],
  [{ action: 'stop' }, true, null],
];
for (const [details, plays, expected] of keys) {
  test(`the key ${JSON.stringify(details)} ${plays ? 'in music' : 'in a pause'} means ${JSON.stringify(expected)}`, () => {
    assert.deepEqual(commandOf(details, shown, plays), expected);
  });
}
