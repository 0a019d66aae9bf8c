// The chat: its messages, what was missed, what is unread, and who may remove what.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createChat } from '../../../static/js/app/chat.js';
import { createOutgoingMessages } from '../../../static/js/app/outgoing-messages.js';
import { initialState } from '../../../static/js/app/initial-state.js';
import { firstMissableId, isChatOn, isRemovable, mergeFetched, unreadCount, withMessage, withoutMessage } from '../../../static/js/room/chat.js';
import { createStore } from '../../../static/js/store.js';
import { announcementText } from '../../../static/js/ui/talk/announcements.js';
import { timeText } from '../../../static/js/ui/talk/chat-list.js';
import { coveredByKeyboard } from '../../../static/js/ui/talk/keyboard-inset.js';

const message = (id, memberId = 'm2', text = `text ${id}`) => ({ id, memberId, name: 'Ben', text, at: '2026-01-02T03:04:05Z' });
const ids = (messages) => messages.map(({ id }) => id);

test('messages are kept once, in the order of their ids, at most 200', () => {
  let messages = [message(5), message(9)];
  assert.equal(withMessage(messages, message(9)), messages);
  assert.deepEqual(ids(withMessage(messages, message(7))), [5, 7, 9]);
  for (let id = 10; id < 300; id += 1) messages = withMessage(messages, message(id));
  assert.deepEqual([messages.length, messages[0].id], [200, 100]);
  assert.equal(withoutMessage(messages, 1), messages);
  assert.equal(withoutMessage(messages, 100)[0].id, 101);
});

test('a response is merged with what happened during its request', () => {
  assert.equal(firstMissableId([]), null);
  assert.equal(firstMissableId([message(5), message(9)]), 4);
  const merged = mergeFetched([message(5), message(7)], [message(7), message(8)], new Set([5]));
  assert.deepEqual(ids(merged), [7, 8]);
});

test('messages of others after the last one that was read are unread', () => {
  const messages = [message(1), message(2, 'm1'), message(3)];
  assert.equal(unreadCount(messages, null, 'm1'), 2);
  assert.equal(unreadCount(messages, 1, 'm1'), 1);
  assert.equal(unreadCount(messages, 3, 'm1'), 0);
});

test('authors and hosts may remove messages, and the rules switch the chat off', () => {
  const room = /** @type {any} */ ({ hosts: ['m3'] });
  assert.equal(isRemovable(message(1, 'm1'), room, 'm1'), true);
  assert.equal(isRemovable(message(1, 'm2'), room, 'm1'), false);
  assert.equal(isRemovable(message(1, 'm2'), room, 'm3'), true);
  assert.equal(isChatOn(room), true);
  assert.equal(isChatOn(/** @type {any} */ ({ rules: { chat: false } })), false);
  assert.equal(isChatOn(null), false);
});

/** A chat in a room, with responses that the test gives. */
function setUp({ storedReadId = /** @type {number | null} */ (null) } = {}) {
  const store = createStore(initialState(/** @type {any} */ ({ name: 'Ada' }), false));
  /** @type {{after: number | null, resolve: (messages: unknown[]) => Promise<void>, reject: () => Promise<void>}[]} */
  const requests = [];
  const announced = [];
  const saved = [];
  /** What another tab has read. @type {(id: number) => void} */
  let readElsewhere = () => {};
  const settle = async (act) => {
    act();
    await new Promise((resolve) => setImmediate(resolve));
  };
  const chat = createChat({
    store,
    getMessages: (after) =>
      new Promise((resolve, reject) =>
        requests.push({ after, resolve: (messages) => settle(() => resolve(/** @type {any} */ (messages))), reject: () => settle(() => reject(new Error('lost'))) })),
    announce: ({ id }) => announced.push(id),
    readIdStorage: { load: () => storedReadId, save: (id) => saved.push(id), watch: (onRead) => (readElsewhere = onRead) },
  });
  store.update({ view: 'room', memberId: 'm1' });
  const receive = (event, payload = {}) => chat.handle({ event, payload, eventCount: 1 });
  return { store, chat, requests, announced, saved, receive, readElsewhere: (/** @type {number} */ id) => readElsewhere(id), shown: () => ids(store.get().chat) };
}

test('the first messages of a phone that is new to the room are not news', async () => {
  const { store, requests, receive, saved, shown } = setUp();
  receive('snapshot');
  assert.equal(requests[0].after, null);
  await requests[0].resolve([message(1), message(2)]);
  assert.deepEqual(shown(), [1, 2]);
  assert.equal(store.get().chatReadId, 2);
  assert.deepEqual(saved, [2]);
});

test('what was said during a reload is unread', async () => {
  const { store, requests, receive } = setUp({ storedReadId: 1 });
  receive('snapshot');
  await requests[0].resolve([message(1), message(2)]);
  const { chat, chatReadId, memberId } = store.get();
  assert.equal(unreadCount(chat, chatReadId, memberId), 1);
});

test('a stream that comes back gets missed messages and loses removed ones', async () => {
  const { requests, receive, shown, announced } = setUp();
  receive('snapshot');
  await requests[0].resolve([message(3)]);
  receive('chat', message(4));
  receive('chat', message(5, 'm1'));
  assert.deepEqual(announced, [4]);
  receive('snapshot');
  assert.equal(requests[1].after, 2);
  // Both happen after the server has made its response.
  receive('chat', message(8));
  receive('chat.removed', { id: 7 });
  await requests[1].resolve([message(3), message(5, 'm1'), message(6), message(7)]);
  assert.deepEqual(shown(), [3, 5, 6, 8]);
});

test('a failed request keeps the messages, and the next snapshot repeats it', async () => {
  const { requests, receive, shown } = setUp();
  receive('chat', message(3));
  receive('snapshot');
  await requests[0].reject();
  assert.deepEqual(shown(), [3]);
  receive('snapshot');
  await requests[1].resolve([]);
  assert.deepEqual(shown(), []);
});

test('leaving the room forgets the chat', async () => {
  const { store, requests, receive, shown } = setUp();
  receive('snapshot');
  store.update({ view: 'join', memberId: null });
  await requests[0].resolve([message(1)]);
  assert.deepEqual(shown(), []);
});

test('announcements name one author, and count several messages and reactions', () => {
  assert.equal(announcementText([], {}), '');
  assert.equal(announcementText([message(1)], {}), 'Ben: text 1');
  assert.equal(announcementText([{ ...message(1), name: '' }], {}), 'Phone 2: text 1');
  assert.equal(announcementText([message(1), message(2)], { '🔥': 1, '👍': 12 }), '2 new messages Reactions: 👍 12, 🔥 1');
});

test('the time of a message has its day unless it is today', () => {
  // In the time zone of the machine.
  const at = new Date(2026, 0, 2, 12, 4, 5).toISOString();
  assert.match(timeText(at, new Date(at)), /^\d+:04/);
  assert.match(timeText(at, new Date(2026, 0, 4, 12)), /1\/2.*:04/);
});

test('the keyboard covers the bottom of the window, zooming does not', () => {
  assert.equal(coveredByKeyboard(800, { height: 800, offsetTop: 0, scale: 1 }), null);
  assert.equal(coveredByKeyboard(800, { height: 760, offsetTop: 0, scale: 1 }), null);
  assert.deepEqual(coveredByKeyboard(800, { height: 500, offsetTop: 0, scale: 1 }), { bottomPx: 300, heightPx: 500 });
  // iOS scrolls the visible area to the field.
  assert.deepEqual(coveredByKeyboard(800, { height: 500, offsetTop: 120, scale: 1 }), { bottomPx: 180, heightPx: 500 });
  assert.deepEqual(coveredByKeyboard(800, { height: 500, offsetTop: 310, scale: 1 }), { bottomPx: 0, heightPx: 500 });
  assert.equal(coveredByKeyboard(800, { height: 400, offsetTop: 0, scale: 2 }), null);
});

test('what another tab of this phone has read is read, and is not saved again', () => {
  const { store, saved, readElsewhere } = setUp({ storedReadId: 3 });
  readElsewhere(7);
  assert.equal(store.get().chatReadId, 7);
  readElsewhere(5);
  assert.equal(store.get().chatReadId, 7);
  assert.deepEqual(saved, []);
});

/** Messages that are being sent, with answers that the test gives. @param {import('node:test').TestContext} t */
function startSending(t) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  /** @type {{text: string, answer: (id: number) => Promise<void>, fail: () => Promise<void>}[]} */
  const posts = [];
  /** @type {string[]} */
  const returned = [];
  /** @type {string[]} */
  const late = [];
  const settle = async (/** @type {() => void} */ act) => {
    act();
    await new Promise((resolve) => setImmediate(resolve));
  };
  const outgoing = createOutgoingMessages({
    postMessage: (text) =>
      new Promise((resolve, reject) => posts.push({ text, answer: (id) => settle(() => resolve(id)), fail: () => settle(() => reject(new Error('lost'))) })),
    lastId: () => 4,
    onChange: () => {},
    onFailed: (text) => returned.push(text),
    onArrivedLate: (text) => late.push(text),
  });
  return { outgoing, posts, returned, late, send: (/** @type {string} */ text) => settle(() => outgoing.send(text)) };
}

test('a message is being sent until its copy arrives', async (t) => {
  const { outgoing, posts, send } = startSending(t);
  await send('ha');
  await send('ha');
  assert.deepEqual([outgoing.texts(), posts.length], [['ha', 'ha'], 1]);
  outgoing.settle([message(3, 'm1', 'ha'), message(5, 'm2', 'ha')], 'm1');
  assert.equal(outgoing.texts().length, 2, 'an earlier one, and one of another phone');
  outgoing.settle([message(5, 'm1', 'ha')], 'm1');
  outgoing.settle([message(5, 'm1', 'ha')], 'm1');
  assert.deepEqual(outgoing.texts(), ['ha']);
  await posts[0].answer(5);
  await posts[1].answer(6);
  outgoing.settle([message(5, 'm1', 'ha'), message(6, 'm1', 'ha')], 'm1');
  assert.deepEqual(outgoing.texts(), []);
});

test('a removed message is not being sent for ever', async (t) => {
  const { outgoing, posts, send } = startSending(t);
  await send('one');
  await posts[0].answer(5);
  t.mock.timers.tick(10_000);
  assert.deepEqual(outgoing.texts(), []);
});

test('failed messages return to the writer unless they arrive late', async (t) => {
  const { outgoing, posts, returned, late, send } = startSending(t);
  await send('one  two');
  await send('three');
  await posts[0].fail();
  assert.deepEqual([returned, outgoing.texts(), posts.length], [['one  two three'], [], 1]);
  outgoing.settle([message(5, 'm1', 'one two')], 'm1');
  outgoing.settle([message(5, 'm1', 'one two')], 'm1');
  assert.deepEqual(late, ['one  two']);
  // The copy has arrived before the answer was lost.
  await send('four');
  outgoing.settle([message(6, 'm1', 'four')], 'm1');
  await posts[1].fail();
  assert.equal(returned.length, 1);
});
