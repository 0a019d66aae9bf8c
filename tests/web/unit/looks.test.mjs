import assert from 'node:assert/strict';
import test from 'node:test';
import { PLAIN, tintOf } from '../../../static/js/colour.js';
import { byteSize, clockTime, formatName, hueOf, initials, memberHue } from '../../../static/js/format.js';
import { drawn, forward } from '../../../static/js/progress.js';
import { finder, searched } from '../../../static/js/search.js';
import { listenerRows } from '../../../static/js/state.js';
import { doingText, statusOf } from '../../../static/js/status.js';
import { ENOUGH_PX, meaning, pull } from '../../../static/js/swipe.js';
import { placeOf, windowOf } from '../../../static/js/windowing.js';
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

const sound = { locked: false, mute: false, sounding: true, errorMs: -4, overlay: null };
const state = (over) => ({
  room: playing(0), connection: 'open', index: new Map([['b', { mime: 'audio/aiff' }]]), download: null,
  settings: { remote: false }, sound, unplayable: new Map(), held: new Set(['b']), scanning: null, ...over,
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
  ['downloading', { held: new Set(), download: { trackId: 'b', receivedBytes: 439, size: 1_000 } }],
  ['waiting for others (1/2 ready)', { room: room({ barrier: barrier() }) }],
  ['starting…', { room: room({ barrier: barrier({ ready: ['m1', 'm2'] }) }) }],
  ['paused', { room: room() }],
  ['no sound here: tap to rejoin', { sound: { ...sound, locked: true } }],
  ['no sound output here: connect one, then tap', { sound: { ...sound, locked: true, mute: true } }],
  ['playing', { sound: { ...sound, errorMs: null } }],
  ['in step', {}],
];
for (const [text, over] of lines) {
  test(`the status line says “${text}”`, () => assert.equal(statusOf(state(over)).text, text));
}

test('how much of a download is here is a figure, of the track that plays only', () => {
  const of = (trackId) => statusOf(state({ held: new Set(), download: { trackId, receivedBytes: 439, size: 1_000 } })).figure;
  assert.deepEqual(['b', 'c'].map(of), ['43 %', '0 %']);
});

test('the figure has its tone', () => {
  const of = (errorMs) => statusOf(state({ sound: { ...sound, errorMs } }));
  assert.deepEqual([of(-4).figure, of(-4).tone, of(40).tone, of(90).tone], ['±4 ms', 'good', 'fair', 'poor']);
});

const seconds = [
  ['a second colour of its own', pixels([30, 60, 210], [30, 60, 210], [200, 30, 30]), 27],
  ['no other colour: a neighbour', pixels([30, 60, 210]), 299],
  ['only a speck of another', pixels(...Array(40).fill([30, 60, 210]), [200, 30, 30]), 299],
  ['yellow, which is mud in the dark: a neighbour', pixels([200, 30, 30], [200, 30, 30], [220, 200, 20]), 352],
];
for (const [name, rgba, second] of seconds) {
  test(`the second light of a cover: ${name}`, () => {
    assert.ok(Math.abs(tintOf(rgba).second - second) < 8, `got ${tintOf(rgba).second}`);
  });
}

test('thirty people who come one after the other differ from their neighbours in colour', () => {
  const hues = Array.from({ length: 30 }, (_, i) => memberHue(`m${i + 1}`));
  hues.slice(1).forEach((hue, i) => assert.ok(Math.abs(hue - hues[i]) > 60, `${hues[i]} and ${hue}`));
});

const steps = [
  ['goes on', 10, 10.25, true, 10.25],
  ['waits where the clock turns out to be a little behind', 10, 9.2, true, 10],
  ['follows a seek back', 10, 5, true, 5],
  ['follows a seek forth', 10, 30, true, 30],
  ['stays where another phone paused a moment before', 10, 9.7, false, 10],
  ['follows a seek at rest', 10, 9, false, 9],
];
for (const [name, from, to, moves, shown] of steps) {
  test(`the seek bar ${name}`, () => {
    const before = { trackId: 'a', positionSec: from, playing: true };
    assert.equal(forward(before, { trackId: 'a', positionSec: to, playing: moves }), shown);
  });
}

test('another track begins where it is, and the first one too', () => {
  const next = { trackId: 'b', positionSec: 0.5, playing: true };
  assert.equal(forward({ trackId: 'a', positionSec: 1, playing: true }, next), 0.5);
  assert.equal(forward(null, next), 0.5);
});

test('the bar moves by whole pixels', () => {
  assert.deepEqual([10, 10.4, 10.6].map((at) => drawn(at, 240, 480)), [10, 10, 10.5]);
  assert.equal(drawn(3, 0, 480), 0);
});

const words = [
  ['', null],
  ['  ', null],
  ['wanda', true],
  ['FANTASMA eclair', true],
  ['fantasma wanda nobody', false],
];
for (const [typed, found] of words) {
  test(`the filter “${typed}” ${found === null ? 'seeks nothing' : found ? 'finds' : 'does not find'}`, () => {
    const track = { fileName: '01 Wanda.mp3', tags: { title: 'Éclair', artist: 'Fantasma' } };
    assert.equal(finder(typed)?.(searched(track)) ?? null, found);
  });
}

const windows = [
  ['the top', { topPx: 0, heightPx: 640, rowPx: 64, count: 10_000 }, { first: 0, last: 18 }],
  ['the middle', { topPx: 6_400, heightPx: 640, rowPx: 64, count: 10_000 }, { first: 96, last: 114 }],
  ['the end', { topPx: 640_000, heightPx: 640, rowPx: 64, count: 10_000 }, { first: 9_982, last: 10_000 }],
  ['pulled beyond the top', { topPx: -200, heightPx: 640, rowPx: 64, count: 10_000 }, { first: 0, last: 18 }],
  ['a short list', { topPx: 0, heightPx: 640, rowPx: 64, count: 3 }, { first: 0, last: 3 }],
  ['no list in sight', { topPx: 0, heightPx: 0, rowPx: 64, count: 3 }, { first: 0, last: 0 }],
];
for (const [name, view, rows] of windows) {
  test(`the rows that exist at ${name}`, () => assert.deepEqual(windowOf(view), rows));
}

test('every place in sight has a row of its own, and keeps it while the list moves on', () => {
  const places = (first) => Array.from({ length: 22 }, (_, slot) => placeOf(slot, 22, first));
  assert.deepEqual(places(94).toSorted((a, b) => a - b), Array.from({ length: 22 }, (_, i) => 94 + i));
  assert.equal(places(95).filter((place, slot) => place !== places(94)[slot]).length, 1);
});

const moves = [
  ['trembles', 4, 4, 'undecided'],
  ['goes right', 30, 5, 'swipe'],
  ['goes left', -30, 5, 'other'],
  ['goes down', 5, 30, 'other'],
  ['goes aslant', 30, 28, 'other'],
];
for (const [name, dx, dy, means] of moves) {
  test(`a finger that ${name} means “${means}”`, () => assert.equal(meaning(dx, dy), means));
}

test('a row follows the finger, unwillingly once it is far enough, and never to the left', () => {
  assert.deepEqual([-20, 40, ENOUGH_PX, ENOUGH_PX + 40].map(pull), [0, 40, ENOUGH_PX, ENOUGH_PX + 10]);
});

test('who was here and is paired still is away, whoever left is gone', () => {
  const listener = { role: 'listener', download: null, playable: true };
  const here = room({ live: { anchorAtMs: null, segue: null, listeners: { m2: listener } } });
  const rows = listenerRows(here, 'm2', false, ['m9', 'm1', 'm2']);
  assert.deepEqual(rows.map((row) => [row.member, doingText(row)]), [['m2', 'ready'], ['m1', 'away']]);
});
