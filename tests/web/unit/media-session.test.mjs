// The state that the lock screen shows, and what its actions do.

import assert from 'node:assert/strict';
import test from 'node:test';
import { hasPositionChanged, mediaStateOf, responseTo, startMediaSession } from '../../../static/js/sound/media-session.js';
import { createStore } from '../../../static/js/store.js';
import { replaceGlobals } from '../support/globals.mjs';
import { barrier, playing, room } from '../support/rooms.mjs';

const track = { trackId: 'b', version: 'v1', size: 10, duration: 60, tags: { title: 'Beta' } };
const state = (overrides = {}) => ({
  view: 'room',
  room: playing(1_000),
  index: new Map([['b', track]]),
  clock: { atMs: 0, offsetMs: 0, drift: 0, roundTripMs: 1, slowRoundTripMs: 1 },
  sound: { isLocked: false, isSounding: true, syncErrorMs: null, predictedStart: null },
  pendingCommands: [],
  ...overrides,
});
const positionAt = (position) => ({ duration: 60, position, playbackRate: 1 });

const views = [
  ['the playing track and its position', {}, { track, playbackState: 'playing', positionState: positionAt(8) }],
  ['the paused track and its position', { room: room({ playState: { mode: 'paused', anchorPositionSec: 5 } }) }, { track, playbackState: 'paused', positionState: positionAt(5) }],
  ['no position during a barrier', { room: room({ barrier: barrier() }) }, { track, playbackState: 'playing', positionState: null }],
  ['Play on a phone that needs a tap', { sound: { isLocked: true, predictedStart: null } }, { track, playbackState: 'paused', positionState: positionAt(8) }],
  ['Play on a phone that alone is paused', { isPausedHere: true }, { track, playbackState: 'paused', positionState: positionAt(8) }],
  ['no position for a track of unknown length', { index: new Map([['b', { ...track, duration: undefined }]]) }, { track: { ...track, duration: undefined }, playbackState: 'playing', positionState: null }],
  ['a pending command before the server has responded', { pendingCommands: [{ name: 'pause', positionSec: 7, trackId: 'b' }] }, { track, playbackState: 'paused', positionState: positionAt(7) }],
  ['nothing in an empty room', { room: room({ queue: [], queueIndex: 0 }) }, { track: null, playbackState: 'none', positionState: null }],
  ['nothing before the phone has joined', { view: 'join', room: null }, { track: null, playbackState: 'none', positionState: null }],
];
for (const [name, overrides, expected] of views) {
  test(`the lock screen shows ${name}`, () => assert.deepEqual(mediaStateOf(state(overrides), 9_000), expected));
}

const playingState = { track, playbackState: 'playing', positionState: positionAt(8) };
const published = { ...playingState, atMs: 9_000 };
const changes = [
  ['expected position', { ...playingState, positionState: positionAt(18) }, false],
  ['position 0.2 s off', { ...playingState, positionState: positionAt(18.2) }, false],
  ['position after a seek', { ...playingState, positionState: positionAt(30) }, true],
  ['paused track', { ...playingState, playbackState: 'paused', positionState: positionAt(18) }, true],
  ['different track length', { ...playingState, positionState: { ...positionAt(18), duration: 70 } }, true],
  ['unknown position', { ...playingState, positionState: null }, true],
];
for (const [name, next, expected] of changes) {
  test(`${name}: position is ${expected ? '' : 'not '}republished after ten seconds`, () => {
    assert.equal(hasPositionChanged(published, next, 19_000), expected);
  });
}

test('a paused position is not republished', () => {
  const paused = { ...playingState, playbackState: 'paused' };
  assert.equal(hasPositionChanged({ ...paused, atMs: 0 }, paused, 60_000), false);
  assert.equal(hasPositionChanged({ ...paused, positionState: null, atMs: 0 }, { ...paused, positionState: null }, 60_000), false);
});

/** [action of the browser, whether the room plays, whether this phone alone is paused, what follows] */
const actions = [
  ['play', false, false, 'play'],
  ['play', true, false, null],
  ['play', true, true, 'rejoin'],
  ['play', false, true, 'rejoin'],
  ['pause', true, false, 'pauseHere'],
  ['pause', false, false, null],
  ['nexttrack', true, false, 'next'],
  ['nexttrack', true, true, 'next'],
  ['previoustrack', true, false, 'previous'],
];
for (const [action, isPlaying, isPausedHere, expected] of actions) {
  test(`media action ${action}, room ${isPlaying ? 'playing' : 'paused'}, phone ${isPausedHere ? 'paused' : 'not paused'}: ${expected ?? 'nothing'}`, () => {
    assert.equal(responseTo(action, { isPausedHere }, isPlaying), expected);
  });
}

/** Starts the Media Session of a browser that has all actions. @param {import('node:test').TestContext} t */
function startSession(t) {
  /** @type {Map<string, (details: object) => void>} */
  const handlers = new Map();
  const setActionHandler = (action, handler) => handlers.set(action, handler);
  replaceGlobals(t, { navigator: { mediaSession: { setActionHandler, setPositionState: () => {} } }, MediaMetadata: Object });
  const store = createStore(/** @type {any} */ (state()));
  /** @type {any[]} */
  const commands = [];
  /** @type {string[]} */
  const calls = [];
  const phonePause = { pauseHere: () => void calls.push('pauseHere'), rejoin: () => void calls.push('rejoin') };
  startMediaSession({ store, sendCommand: (make) => commands.push(make(store.get().room)), goToPrevious: () => void calls.push('previous'), phonePause, onGesture: () => calls.push('gesture') });
  return { store, commands, calls, handlers, press: (action) => handlers.get(action)?.({ action }) };
}

test('no seek action is registered, so that an iPhone shows Next', (t) => {
  assert.deepEqual([...startSession(t).handlers.keys()], ['play', 'pause', 'nexttrack', 'previoustrack']);
});

test('Previous of the system is that of the room', (t) => {
  const session = startSession(t);
  session.press('previoustrack');
  assert.deepEqual(session.calls, ['previous']);
});

test('Pause and Play of the system concern this phone, Next the room', (t) => {
  const session = startSession(t);
  session.press('pause');
  session.store.update({ isPausedHere: true });
  session.press('nexttrack');
  session.press('play');
  assert.deepEqual(session.calls, ['pauseHere', 'gesture', 'rejoin']);
  assert.deepEqual(session.commands, [{ name: 'next' }]);
});

test('Play of the system starts a room that is paused', (t) => {
  const session = startSession(t);
  session.store.update({ room: room({ playState: { mode: 'paused', anchorPositionSec: 5 } }) });
  session.press('play');
  assert.deepEqual(session.commands, [{ name: 'play', positionSec: 5 }]);
});
