// Reactions: their counts, which of them are shown, and those of this phone.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createReactions } from '../../../static/js/app/reactions.js';
import { ApiError } from '../../../static/js/net/http.js';
import { EMOJI, addCounts, countTexts, readCounts, sampleReactions, withoutOwn } from '../../../static/js/room/reactions.js';

test('payloads are read without what is no reaction', () => {
  assert.equal(EMOJI.length, 12);
  assert.deepEqual(readCounts({ '🔥': 2, '<b>': 9, '👍': 0, '🎉': 'x', '❤️': 1 }), { '❤️': 1, '🔥': 2 });
});

test('counts are added, and written with the most frequent first', () => {
  const counts = addCounts({ '🔥': 2 }, { '🔥': 1, '👍': 7 });
  assert.deepEqual(counts, { '🔥': 3, '👍': 7 });
  assert.deepEqual(countTexts(counts, String), ['👍 7', '🔥 3']);
});

test('a sample has every kind before one kind twice', () => {
  const counts = { '🔥': 100, '👍': 2, '🎉': 1 };
  assert.deepEqual(sampleReactions(counts, 5), ['🔥', '👍', '🎉', '🔥', '👍']);
  assert.deepEqual(sampleReactions(counts, 2), ['🔥', '👍']);
  assert.deepEqual(sampleReactions({ '🎉': 2 }, 8), ['🎉', '🎉']);
  assert.deepEqual(sampleReactions(counts, 0), []);
});

test('own reactions are subtracted once', () => {
  assert.deepEqual(withoutOwn({ '🔥': 3, '👍': 1 }, { '🔥': 1, '🎉': 2 }), { others: { '🔥': 2, '👍': 1 }, own: { '🎉': 2 } });
  assert.deepEqual(withoutOwn({ '🔥': 1 }, { '🔥': 2 }), { others: {}, own: { '🔥': 1 } });
});

function setUp(postReaction = () => Promise.resolve(), isOnline = true) {
  const shown = [];
  const announced = [];
  const messages = [];
  const holds = [];
  const reactions = createReactions({
    postReaction,
    show: (counts) => shown.push(counts),
    announce: (counts) => announced.push(counts),
    showMessage: (text) => messages.push(text),
    isOnline: () => isOnline,
    hold: (isHeld) => holds.push(isHeld),
  });
  const receive = (event, payload = {}) => reactions.handle({ event, payload, eventCount: 1 });
  return { react: reactions.react, receive, shown, announced, messages, holds };
}

test('an own reaction is shown at once and not again when it is counted', async () => {
  const { react, receive, shown, announced } = setUp();
  await react('🔥');
  receive('reactions', { '🔥': 3 });
  receive('reactions', { '🔥': 1 });
  assert.deepEqual(shown, [{ '🔥': 1 }, { '🔥': 2 }, { '🔥': 1 }]);
  assert.deepEqual(announced, [{ '🔥': 2 }, { '🔥': 1 }]);
  await react('👍');
  receive('reactions', { '👍': 1 });
  assert.equal(announced.length, 2);
});

test('a refused reaction is explained, and does not count as own', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { react, receive, shown, messages } = setUp(() => Promise.reject(new ApiError(429, 'no', 3, 'too-many-reactions')));
  await react('🔥');
  assert.deepEqual(messages, ['Too many reactions. Wait 3 seconds.']);
  receive('reactions', { '🔥': 1 });
  assert.equal(shown.length, 2);
});

test('own reactions that a lost stream would have counted are forgotten', async () => {
  const { react, receive, announced } = setUp();
  await react('🔥');
  receive('snapshot');
  receive('reactions', { '🔥': 1 });
  assert.deepEqual(announced, [{ '🔥': 1 }]);
});

test('reactions are held for as long as the server asks, with one sentence', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { react, shown, messages, holds } = setUp(() => Promise.reject(new ApiError(429, 'no', 3, 'too-many-reactions')));
  await Promise.all([react('🔥'), react('👍')]);
  await react('🎉');
  assert.deepEqual([shown.length, messages, holds], [2, ['Too many reactions. Wait 3 seconds.'], [true]]);
  t.mock.timers.tick(3_000);
  assert.deepEqual(holds, [true, false]);
  await react('🎉');
  assert.equal(shown.length, 3);
});

test('no reaction rises while the server is away', async () => {
  const { react, shown, messages } = setUp(() => Promise.resolve(), false);
  await react('🔥');
  assert.deepEqual([shown, messages], [[], ['The server is away. Try again in a moment.']]);
});
