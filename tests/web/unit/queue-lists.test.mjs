// The Queue tab's pure parts: keys of items, widths of texts, the letter strip, and the room that all views share.

import assert from 'node:assert/strict';
import test from 'node:test';
import { shownRoom } from '../../../static/js/room/optimistic.js';
import { textWidth } from '../../../static/js/ui/queue/item-layout.js';
import { letterOf } from '../../../static/js/ui/queue/letter-strip.js';
import { songItems } from '../../../static/js/ui/queue/queue-items.js';
import { track } from '../support/libraries.mjs';
import { room } from '../support/rooms.mjs';

const keys = (/** @type {string} */ ids) => songItems([...ids].map((id) => track(id))).map(({ key }) => key);

test('a song keeps its key when another one comes before it', () => {
  assert.equal(keys('ab')[1], keys('xab')[2]);
});

test('each occurrence of a track in a playlist has a key', () => {
  assert.equal(new Set(keys('abaab')).size, 5);
});

test('Chinese, Japanese and Korean characters count as two', () => {
  assert.deepEqual(['Añadir', '次に', '添加。', '다음'].map(textWidth), [6, 4, 6, 4]);
});

test('an item belongs to the last letter that begins before it', () => {
  const letters = [{ letter: 'A', index: 0 }, { letter: 'C', index: 4 }, { letter: 'D', index: 9 }];
  assert.deepEqual([0, 3, 4, 8, 30].map((index) => letterOf(letters, index)), [0, 0, 1, 1, 2]);
});

test('the shown room is the same object while nothing has changed', () => {
  const state = /** @type {any} */ ({ room: room(), sound: { predictedStart: null }, pendingCommands: [{ name: 'nudge', trackId: 'e' }] });
  const shown = shownRoom(state);
  assert.equal(shownRoom({ ...state }), shown);
  assert.notEqual(shownRoom({ ...state, pendingCommands: [] }), shown);
});
