// Which phones were compared with others, and how the page says so.

import assert from 'node:assert/strict';
import test from 'node:test';
import { comparisonText, isCompared } from '../../../static/js/room/comparisons.js';
import { room } from '../support/rooms.mjs';

const at = '2026-11-30T00:00:00Z';
const formatDate = (/** @type {Date} */ date) => date.toISOString().slice(0, 10);

/** A room in which `m1`, `m2` and `m3` are paired. @param {object} compared by member @param {string[]} here the listeners */
const roomWith = (compared, here = ['m1', 'm2', 'm3']) =>
  room({
    clients: Object.fromEntries(['m1', 'm2', 'm3'].map((id, i) => [id, { name: ['Ada', 'Ben', ''][i], compared: compared[id] }])),
    live: { listeners: Object.fromEntries(here.map((id) => [id, { role: 'listener' }])) },
  });

test('a phone counts as compared while a phone that it was compared with is here', () => {
  const compared = { m1: { by: 'server', with: ['m2', 'm9'], at } };
  assert.equal(isCompared(roomWith(compared), 'm1'), true);
  assert.equal(isCompared(roomWith(compared, ['m1', 'm3']), 'm1'), false);
  assert.equal(isCompared(roomWith(compared), 'm2'), false);
  assert.equal(isCompared(roomWith(compared), null), false);
});

test('the sync sheet says when, with whom and by what a phone was compared', () => {
  const compared = { m1: { by: 'server', with: ['m2', 'm3', 'm9'], at }, m2: { by: 'microphone', with: ['m9'], at } };
  const texts = ['m1', 'm2', 'm3'].map((id) => comparisonText(roomWith(compared), id, formatDate));
  assert.deepEqual(texts, [
    'by the server’s microphone, with Ben, Phone 3, 2026-11-30',
    'by a phone’s microphone, with phones that have left, 2026-11-30',
    'not compared',
  ]);
});
