import assert from 'node:assert/strict';
import test from 'node:test';
import { PLAIN, tintOf } from '../../../static/js/colour.js';
import { byteSize, clockTime, formatName, hueOf, initials } from '../../../static/js/format.js';
import { statusOf } from '../../../static/js/status.js';
import { barrier, playing, room } from '../support/rooms.mjs';

test('times, sizes and names read well', () => {
  assert.deepEqual([0, 59.9, 61, 3_723].map(clockTime), ['0:00', '0:59', '1:01', '1:02:03']);
  assert.deepEqual([840_000, 12_340_000, 2_500_000_000].map(byteSize), ['840 kB', '12.3 MB', '2.50 GB']);
  assert.deepEqual(['Harbour Lights', 'éclair', '<b>', '夜の 歌', '…'].map(initials), ['HL', 'É', 'B', '夜歌', '♪']);
  assert.deepEqual(['audio/mpeg', 'audio/x-aiff', 'audio/flac'].map(formatName), ['MP3', 'AIFF', 'FLAC']);
  assert.equal(hueOf('abc'), hueOf('abc'));
});

const pixels = (...colours) => new Uint8ClampedArray(colours.flatMap((rgb) => [...rgb, 255]));
const tints = [
  ['red', pixels([200, 30, 30]), 27],
  ['green', pixels([20, 160, 60]), 150],
  ['blue', pixels([30, 60, 210]), 264],
  ['mostly blue, with a little red', pixels([30, 60, 210], [30, 60, 210], [200, 30, 30]), 264],
];
for (const [name, rgba, hue] of tints) {
  test(`a cover that is ${name} tints with hue ${hue}`, () => {
    assert.ok(Math.abs(tintOf(rgba).hue - hue) < 8, `got ${tintOf(rgba).hue}`);
  });
}

test('a grey cover hardly tints', () => {
  const tint = tintOf(pixels([128, 128, 128], [20, 20, 20]));
  assert.equal(tint.hue, PLAIN.hue);
  assert.ok(tint.strength < 0.2);
});

const sound = { locked: false, sounding: true, errorMs: -4, overlay: null };
const state = (over) => ({
  room: playing(0), connection: 'open', index: new Map([['b', { mime: 'audio/aiff' }]]), download: null,
  settings: { remote: false }, sound, unplayable: new Map(), held: new Set(['b']), scanning: false, ...over,
});
const lines = [
  ['reconnecting…', { connection: 'reconnecting', trouble: null }],
  ['the state file is damaged', { connection: 'reconnecting', trouble: 'the state file is damaged' }],
  ['connecting…', { room: null }],
  ['no music on the server yet', { room: room({ queue: [], queueIndex: 0 }) }],
  ['remote only: no sound from this phone', { settings: { remote: true } }],
  ["this phone can't play AIFF; it sits this one out", { unplayable: new Map([['b', 'format']]) }],
  ['no room on this phone for this track; it sits this one out', { unplayable: new Map([['b', 'room']]) }],
  ["this track can't be fetched from the server; trying again", { held: new Set(), unplayable: new Map([['b', 'fetch']]) }],
  ['downloading 43 %', { held: new Set(), download: { trackId: 'b', receivedBytes: 439, size: 1_000 } }],
  ['downloading 0 %', { held: new Set(), download: { trackId: 'c', receivedBytes: 439, size: 1_000 } }],
  ['waiting for others (1/2 ready)', { room: room({ barrier: barrier() }) }],
  ['starting…', { room: room({ barrier: barrier({ ready: ['m1', 'm2'] }) }) }],
  ['paused', { room: room() }],
  ['sound is off until you tap', { sound: { ...sound, locked: true } }],
  ['playing', { sound: { ...sound, errorMs: null } }],
  ['in step', {}],
];
for (const [text, over] of lines) {
  test(`the status line says “${text}”`, () => assert.equal(statusOf(state(over)).text, text));
}

test('the figure has its tone', () => {
  const of = (errorMs) => statusOf(state({ sound: { ...sound, errorMs } }));
  assert.deepEqual([of(-4).figure, of(-4).tone, of(40).tone, of(90).tone], ['±4 ms', 'good', 'fair', 'poor']);
});
