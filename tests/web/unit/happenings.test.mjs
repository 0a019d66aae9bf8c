// What a phone shows about the actions of others.

import assert from 'node:assert/strict';
import test from 'node:test';
import { messageText } from '../../../static/js/language/texts.js';
import { happeningIn, isRuling, replaces } from '../../../static/js/room/happenings.js';
import { playing } from '../support/rooms.mjs';

const INDEX = /** @type {any} */ (new Map([['b', { tags: { title: 'Beta Waltz' } }], ['c', { tags: { title: 'Porch Swing' } }]]));
const sentence = (/** @type {string} */ event, /** @type {object} */ payload, memberId = 'm2') => {
  const message = happeningIn({ event, payload: { by: 'm1', ...payload }, eventCount: 8 }, playing(0), { memberId, index: INDEX });
  return message && messageText(message);
};

/** [event, payload, sentence] */
const CASES = /** @type {[string, object, string | null][]} */ ([
  ['queue.picked', { trackIds: ['c'] }, 'Ada added Porch Swing'],
  ['queue.picked', { trackIds: ['c', 'd', 'e'] }, 'Ada added 3 tracks'],
  ['queue.unpicked', { trackIds: ['c'] }, 'Ada removed Porch Swing'],
  ['queue.unpicked', { trackIds: ['c', 'd'] }, 'Ada removed 2 tracks'],
  ['queue.nudged', { trackId: 'c' }, 'Ada put Porch Swing next'],
  ['queue.moved', { trackId: 'c' }, 'Ada moved Porch Swing'],
  ['queue.advanced', { trackId: 'c', reason: 'next' }, 'Ada skipped'],
  ['queue.advanced', { trackId: 'c', reason: 'previous' }, 'Ada went back'],
  ['queue.advanced', { trackId: 'c', reason: 'play-now' }, 'Ada plays Porch Swing'],
  ['queue.advanced', { trackId: 'c', reason: 'ended' }, null],
  ['queue.shuffled', {}, 'Ada shuffled the library'],
  ['queue.sorted', { order: 'album' }, 'Ada put the library in order'],
  ['queue.undone', {}, 'Ada undid the last change'],
  ['playback.paused', {}, 'Ada paused'],
  ['playback.seeked', { anchorPositionSec: 130 }, 'Ada moved to 2:10'],
  ['barrier.opened', { type: 'resume', trackId: 'b' }, 'Ada pressed Play'],
  ['barrier.opened', { type: 'track', trackId: 'c' }, null],
  ['barrier.ready', { memberId: 'm1' }, null],
]);
for (const [event, payload, expected] of CASES) {
  test(`${event} ${JSON.stringify(payload)} is told as ${expected}`, () => assert.equal(sentence(event, payload), expected));
}

test('own actions and those of nobody are not told', () => {
  assert.deepEqual([sentence('queue.picked', { trackIds: ['c'] }, 'm1'), sentence('queue.picked', { trackIds: ['c'], by: null }), sentence('queue.picked', { trackIds: ['c'], by: 'm7' })], [null, null, null]);
});

/** Ada, whose phone is m1, is DJ; Ben's phone shows the sentences. */
const ruling = (/** @type {string} */ event, /** @type {object} */ payload, memberId = 'm2') => {
  const before = playing(0, { clients: { m1: { name: 'Ada' }, m2: { name: 'Ben' } }, dj: 'm1', hosts: ['m1'] });
  const message = happeningIn({ event, payload: { by: 'm1', ...payload }, eventCount: 8 }, before, { memberId, index: INDEX });
  return message && messageText(message);
};

/** [event, payload, what Ben's phone says, what Ada's phone says] */
const RULINGS = /** @type {[string, object, string | null, string | null][]} */ ([
  ['rules.changed', {}, 'Ada changed the rules', null],
  ['queue.advanced', { trackId: 'c', reason: 'voted' }, 'Beta Waltz was skipped by votes', 'Beta Waltz was skipped by votes'],
  ['dj.changed', { memberId: 'm2', reason: 'elected', by: null }, 'You were elected DJ', 'Ben was elected DJ'],
  ['dj.changed', { memberId: 'm2', reason: 'elected' }, 'You were elected DJ', 'Ben was elected DJ'],
  ['dj.changed', { memberId: 'm2', reason: 'random' }, 'You were drawn as DJ', 'Ben was drawn as DJ'],
  ['dj.changed', { memberId: 'm2', reason: 'handed' }, 'You are DJ now', 'Ben is DJ now'],
  ['dj.changed', { memberId: 'm2', reason: 'host' }, 'You are DJ now', 'Ben is DJ now'],
  ['dj.changed', { memberId: null, reason: 'removed' }, 'Ada is no longer DJ', 'You are no longer DJ'],
  ['dj.changed', { memberId: null, reason: 'gone', by: null }, 'Ada is no longer DJ', 'You are no longer DJ'],
  ['hosts.changed', { memberId: 'm2', host: true }, 'You are host now', null],
  ['hosts.changed', { memberId: 'm2', host: false }, 'You are no longer host', null],
  ['hosts.changed', { memberId: 'm1', host: true }, 'Ada is host now', 'You are host now'],
  ['hosts.changed', { memberId: 'm1', host: false }, 'Ada is no longer host', null],
]);
for (const [event, payload, toBen, toAda] of RULINGS) {
  test(`${event} ${JSON.stringify(payload)} is told as ${toBen}`, () => assert.deepEqual([ruling(event, payload), ruling(event, payload, 'm1')], [toBen, toAda]));
}

test('the change of rules that makes a host does not replace the sentence about the host', () => {
  const host = { message: /** @type {const} */ ({ key: 'happening.host', values: { name: 'Ada' } }), atMs: 1_000 };
  const rules = /** @type {const} */ ({ key: 'happening.rules', values: { name: 'Ada' } });
  assert.equal(replaces(rules, host, 1_100), false);
  assert.equal(replaces(rules, host, 9_000), true);
  assert.equal(replaces(rules, { ...host, message: rules }, 1_100), true);
  assert.equal(replaces({ key: 'happening.dj', values: { name: 'Ben' } }, host, 1_100), true);
  assert.equal(replaces(rules, null, 1_100), true);
});

test('rulings are told in every view, other happenings on Now', () => {
  assert.equal(isRuling({ key: 'happening.electedYou' }), true);
  assert.equal(isRuling({ key: 'happening.added' }), false);
});
