// The texts of the status line and of the listeners' activities.

import assert from 'node:assert/strict';
import test from 'node:test';
import { memberRows } from '../../../static/js/room/member-rows.js';
import { activityText, rejoinLabel, statusOf } from '../../../static/js/ui/status-line.js';
import { barrier, playing, room } from '../support/rooms.mjs';

const sound = { isLocked: false, isOutputMissing: false, isSounding: true, syncErrorMs: -4, predictedStart: null };

/** A phone in the room that plays the track `b`, with some properties of its state replaced. */
const stateWith = (changes) => ({
  room: playing(0), connection: 'open', index: new Map([['b', { mime: 'audio/aiff' }]]), download: null,
  settings: { isRemoteControl: false }, sound, unplayableReasons: new Map(), cachedTrackIds: new Set(['b']), scanProgress: null, ...changes,
});

/** [name, text, changes of the state] */
const statuses = [
  ['a lost connection', 'reconnecting…', { connection: 'reconnecting', disconnectReason: null }],
  ['a lost connection with a known reason', 'the state file is damaged', { connection: 'reconnecting', disconnectReason: 'the state file is damaged' }],
  ['a lost connection on a phone that alone is paused', 'paused on this phone; reconnecting…', { connection: 'reconnecting', disconnectReason: null, isPausedHere: true }],
  ['a phone before its first snapshot', 'connecting…', { room: null }],
  ['a room without music', 'no music on the server yet', { room: room({ queue: [], queueIndex: 0 }) }],
  ['a room during the first scan', 'the server is reading its music', { room: room({ queue: [], queueIndex: 0 }), scanProgress: { read: 1, total: 9 } }],
  ['a remote control', 'remote only: no sound from this phone', { settings: { isRemoteControl: true } }],
  ['a track of unsupported format', "this phone can't play AIFF; no sound until the next track", { unplayableReasons: new Map([['b', 'format']]) }],
  ['a track that lacks storage space', 'not enough storage for this track; no sound until the next one', { unplayableReasons: new Map([['b', 'space']]) }],
  ['a track that cannot be downloaded', "this track can't be downloaded from the server; retrying", { cachedTrackIds: new Set(), unplayableReasons: new Map([['b', 'fetch']]) }],
  ['the download of the current track', 'downloading', { cachedTrackIds: new Set(), download: { trackId: 'b', receivedBytes: 439, size: 1_000 } }],
  ['a barrier that waits for another phone', 'waiting for others (1/2 ready)', { room: room({ barrier: barrier() }) }],
  ['a barrier before its release', 'starting…', { room: room({ barrier: barrier({ ready: ['m1', 'm2'] }) }) }],
  ['a paused room', 'paused', { room: room() }],
  ['a phone that alone is paused', 'paused on this phone', { isPausedHere: true }],
  ['a phone paused by itself and with the room', 'paused on this phone', { isPausedHere: true, room: room() }],
  ['a phone that alone is paused, at a barrier', 'paused on this phone', { isPausedHere: true, room: room({ barrier: barrier() }) }],
  ['a tab while another one of this phone sounds', 'another tab has the sound', { isOtherTabSounding: true }],
  ['a tab in a paused room while another one has the sound', 'paused', { isOtherTabSounding: true, room: room() }],
  ['a phone that needs a tap', 'no sound here: tap to rejoin', { sound: { ...sound, isLocked: true } }],
  ['a phone that the system has silenced', 'paused on this phone: tap to rejoin', { sound: { ...sound, isLocked: true, isInterrupted: true } }],
  ['a phone without an audio output', 'no audio output: connect one, then tap', { sound: { ...sound, isLocked: true, isOutputMissing: true } }],
  ['a damaged file that ends early here', 'no more sound in this file on this phone; waiting for the next track', { sound: { ...sound, isSounding: false, hasNoMoreSound: true } }],
  ['playback before a sync measurement', 'playing', { sound: { ...sound, syncErrorMs: null } }],
  ['playback in sync', 'in step', {}],
  ['playback out of sync', 'catching up', { sound: { ...sound, syncErrorMs: 90 } }],
];
for (const [name, text, changes] of statuses) {
  test(`the status line describes ${name}`, () => assert.equal(statusOf(stateWith(changes)).text, text));
}

/** [name, changes of the state, label while the room plays, label while it is paused] */
const rejoinLabels = [
  ['a phone that sounds', {}, null, null],
  ['a phone that needs a tap', { sound: { ...sound, isLocked: true } }, 'Tap to rejoin', null],
  ['a phone that alone is paused', { isPausedHere: true }, 'Tap to rejoin', 'Tap to rejoin'],
  ['a tab while another one of this phone sounds', { isOtherTabSounding: true }, 'Play here', null],
  ['a remote control', { settings: { isRemoteControl: true }, isOtherTabSounding: true, sound: { ...sound, isLocked: true } }, null, null],
];
for (const [name, changes, whilePlaying, whilePaused] of rejoinLabels) {
  test(`the button that brings the sound to ${name}`, () => {
    assert.deepEqual([true, false].map((isPlaying) => rejoinLabel(stateWith(changes), isPlaying)), [whilePlaying, whilePaused]);
  });
}

test('the download figure counts only the current track', () => {
  const figureOf = (trackId) => statusOf(stateWith({ cachedTrackIds: new Set(), download: { trackId, receivedBytes: 439, size: 1_000 } })).figure;
  assert.deepEqual(['b', 'c'].map(figureOf), ['43 %', '0 %']);
});

test('the scan figure counts the files read', () => {
  const state = stateWith({ room: room({ queue: [], queueIndex: 0 }), scanProgress: { read: 1, total: 9 } });
  assert.equal(statusOf(state).figure, '1 of 9 files');
});

const comparedRoom = playing(0, {
  clients: { m1: { name: 'Ada', compared: { by: 'server', with: ['m2'], at: '2026-11-30T00:00:00Z' } }, m2: { name: '' } },
  live: { anchorAtMs: 0, segue: null, listeners: { m1: { role: 'listener', playable: true, download: null, sync: { offMs: 2 } }, m2: { role: 'listener', playable: true, download: null, sync: { offMs: 2 } } } },
});

test('the tone follows the sync error of a phone that was compared', () => {
  const statusAt = (errorMs) => statusOf(stateWith({ room: comparedRoom, memberId: 'm1', sound: { ...sound, syncErrorMs: errorMs } }));
  assert.deepEqual([statusAt(-4).figure, statusAt(-4).tone, statusAt(40).tone, statusAt(90).tone], ['±4 ms', 'good', 'fair', 'poor']);
});

test('the figure of a phone that was not compared is by its own clock and not green', () => {
  const statusAt = (errorMs) => statusOf(stateWith({ room: comparedRoom, memberId: 'm2', sound: { ...sound, syncErrorMs: errorMs } }));
  assert.deepEqual(statusAt(1), { text: 'in step', figure: '±1 ms by its own clock', tone: 'calm' });
  assert.deepEqual([statusAt(40).tone, statusAt(90).tone], ['fair', 'poor']);
  assert.deepEqual(memberRows(comparedRoom, 'm1', { waitsForTap: false }).map(({ isCompared }) => isCompared), [true, false]);
});

test('a phone with another output than at its comparison is not green', () => {
  const state = stateWith({ room: comparedRoom, memberId: 'm1', sound: { ...sound, syncErrorMs: 1 }, hasOtherOutput: true });
  assert.deepEqual(statusOf(state), { text: 'in step', figure: '±1 ms by its own clock', tone: 'calm' });
  assert.deepEqual(memberRows(comparedRoom, 'm1', { waitsForTap: false }, [], true).map(({ isCompared }) => isCompared), [false, false]);
});

test('only disconnected members that are paired are listed as away', () => {
  const listener = { role: 'listener', download: null, playable: true };
  const oneConnected = room({ live: { anchorAtMs: null, segue: null, listeners: { m2: listener } } });
  const rows = memberRows(oneConnected, 'm2', { waitsForTap: false }, ['m9', 'm1', 'm2']);
  assert.deepEqual(rows.map((row) => [row.memberId, activityText(row)]), [['m2', 'ready'], ['m1', 'away']]);
});
