// The session against a simulated server: its requests and its handling of the responses.

import assert from 'node:assert/strict';
import test from 'node:test';
import { messageText } from '../../../static/js/language/texts.js';
import { HOUSE, setCurrentRoom } from '../../../static/js/net/room-address.js';
import { createSession } from '../../../static/js/net/session.js';
import { createStore } from '../../../static/js/store.js';
import { room } from '../support/rooms.mjs';
import { settlePromises } from '../support/promises.mjs';

globalThis.document ??= /** @type {any} */ (new EventTarget());
globalThis.addEventListener ??= () => {};

const track = (/** @type {string} */ trackId, version = 'v1') => ({ trackId, version, tags: { title: trackId } });
const encodeMessage = (/** @type {object} */ data) => new TextEncoder().encode(`data: ${JSON.stringify(data)}\n\n`);

/** @param {import('node:test').TestContext} t */
async function createPhone(t) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  /** @type {string[]} */
  const requestedPaths = [];
  /** @type {string[]} */
  const shownMessages = [];
  /** @type {ReadableStreamDefaultController[]} */
  const streams = [];
  /** @type {Record<string, (signal: AbortSignal) => Response | Promise<Response>>} */
  const responses = {
    '/snapshot': () => Response.json(room(), { headers: { 'Lockstep-Member': 'm1' } }),
    '/index': () => Response.json([track('a')], { headers: { ETag: '"1"' } }),
    '/clock': () => Response.json({ receivedMs: 5, serverMs: 5 }),
    '/events': (signal) => new Response(new ReadableStream({ start: (body) => {
      streams.push(body);
      signal.addEventListener('abort', () => { try { body.error(new Error('aborted')); } catch { /* closed before */ } });
    } })),
    '/leave': () => new Response(null, { status: 204 }),
  };
  t.mock.method(globalThis, 'fetch', async (path, { signal }) => {
    const pathname = path.slice(1).split('?')[0];
    requestedPaths.push(pathname);
    return responses[pathname]?.(signal);
  });
  const state = { view: 'starting', room: null, memberId: null, index: new Map(), connection: 'connecting', settings: {}, clock: null };
  const store = createStore(/** @type {any} */ (state));
  const indexCache = Promise.resolve(/** @type {any} */ ({ storedIndex: () => new Map(), withKnownDurations: (/** @type {any} */ index) => index, save: () => {} }));
  const session = createSession({ store, nowPlaying: () => null, indexCache, showMessage: (text) => shownMessages.push(text), onTalk: () => {}, onRoomGone: () => shownMessages.push('gone') });
  t.after(async () => {
    setCurrentRoom(HOUSE);
    await session.leave();
    await settlePromises();
  });
  return {
    session, store, responses, shownMessages,
    takeRequestedPaths: () => requestedPaths.splice(0),
    send: (/** @type {object} */ data) => streams.at(-1)?.enqueue(encodeMessage(data)),
    breakStream: () => streams.at(-1)?.error(new Error('broken')),
  };
}

const neverResponds = () => new Promise(() => {});
const snapshot = { event: 'snapshot', payload: room(), eventCount: 7 };

test('the event stream opens while the index is still loading', async (t) => {
  const { session, store, responses, takeRequestedPaths, send } = await createPhone(t);
  responses['/index'] = /** @type {any} */ (neverResponds);
  await session.start();
  await settlePromises();
  assert.ok(takeRequestedPaths().includes('/events'));
  send(snapshot);
  await settlePromises();
  assert.equal(store.get().connection, 'open');
});

test('a slow index download completes, and a stalled one is aborted', async (t) => {
  const { session, store, responses } = await createPhone(t);
  const text = JSON.stringify([track('a')]);
  /** @type {ReadableStreamDefaultController} */
  let body;
  let abortCount = 0;
  responses['/index'] = (signal) => new Response(new ReadableStream({ start: (controller) => {
    body = controller;
    signal.addEventListener('abort', () => { abortCount += 1; controller.error(new Error('aborted')); });
  } }));
  await session.start();
  for (const letter of text) {
    await settlePromises();
    body.enqueue(new TextEncoder().encode(letter));
    await settlePromises();
    t.mock.timers.tick(5_000);
  }
  body.close();
  await settlePromises();
  assert.deepEqual([...store.get().index.keys()], ['a']);
  assert.equal(abortCount, 0);
  session.refreshIndex();
  await settlePromises();
  t.mock.timers.tick(8_000);
  await settlePromises();
  assert.equal(abortCount, 1);
});

test('unchanged tracks of a refreshed index keep their objects', async (t) => {
  const { session, store, responses } = await createPhone(t);
  await session.start();
  await settlePromises();
  const { index } = store.get();
  assert.equal(index.size, 1);
  await session.refreshIndex();
  assert.equal(store.get().index, index);
  responses['/index'] = () => Response.json([track('a'), track('b')], { headers: { ETag: '"2"' } });
  await session.refreshIndex();
  assert.equal(store.get().index.size, 2);
  assert.equal(store.get().index.get('a'), index.get('a'));
});

test('index refreshes during a request cause one more request', async (t) => {
  const { session, store, responses, takeRequestedPaths } = await createPhone(t);
  await session.start();
  await settlePromises();
  takeRequestedPaths();
  /** @type {((response: Response) => void)[]} */
  const pending = [];
  responses['/index'] = () => new Promise((resolve) => pending.push(resolve));
  for (let i = 0; i < 3; i += 1) session.refreshIndex();
  await settlePromises();
  assert.equal(pending.length, 1);
  for (const version of ['v2', 'v3']) {
    pending.shift()?.(Response.json([track('a', version)], { headers: { ETag: version } }));
    await settlePromises();
  }
  assert.equal(store.get().index.get('a')?.version, 'v3');
  assert.equal(pending.length, 0);
});

test('an event gap during a snapshot request causes another request', async (t) => {
  const { session, store, responses, send } = await createPhone(t);
  await session.start();
  await settlePromises();
  send(snapshot);
  await settlePromises();
  /** @type {((response: Response) => void)[]} */
  const pending = [];
  responses['/snapshot'] = () => new Promise((resolve) => pending.push(resolve));
  const sendEvent = (/** @type {number} */ eventCount) => send({ event: 'playback.paused', payload: { patch: [] }, eventCount });
  sendEvent(9);
  await settlePromises();
  sendEvent(11);
  await settlePromises();
  for (const eventCount of [9, 11]) {
    pending.shift()?.(Response.json(room({ eventCount })));
    await settlePromises();
  }
  assert.equal(store.get().room?.eventCount, 11);
});

test('a 401 after a lost stream leads to the join view', async (t) => {
  const { session, store, responses, takeRequestedPaths, send, breakStream } = await createPhone(t);
  await session.start();
  await settlePromises();
  send(snapshot);
  await settlePromises();
  takeRequestedPaths();
  breakStream();
  await settlePromises();
  assert.deepEqual(takeRequestedPaths(), ['/clock']);
  t.mock.timers.tick(500);
  await settlePromises();
  responses['/clock'] = () => Response.json({ status: 401, detail: 'not paired' }, { status: 401 });
  breakStream();
  await settlePromises();
  assert.equal(store.get().view, 'join');
  assert.equal(messageText(store.get().disconnectReason), 'This phone is no longer paired.');
});

const memberLeft = (/** @type {string} */ memberId, /** @type {object} */ extraPayload = {}) =>
  ({ event: 'client.left', payload: { memberId, ...extraPayload, patch: [{ op: 'remove', path: `/clients/${memberId}` }] }, eventCount: 8 });

test('a removed phone shows the join view and who removed it', async (t) => {
  const { session, store, responses, shownMessages, send } = await createPhone(t);
  await session.start();
  await settlePromises();
  send(snapshot);
  await settlePromises();
  responses['/clock'] = () => Response.json({ status: 401 }, { status: 401 });
  send(memberLeft('m1', { removedBy: 'm2' }));
  await settlePromises();
  assert.equal(store.get().view, 'join');
  assert.equal(messageText(store.get().disconnectReason), 'Phone 2 has removed this phone.');
  assert.deepEqual(shownMessages, []);
});

test('the removal of another phone is announced once, its departure never', async (t) => {
  for (const [extraPayload, expectedMessages] of /** @type {[object, string[]][]} */ ([
    [{ removedBy: 'm1' }, ['Phone 2 is removed.']],
    [{ removedBy: 'm3' }, ['Phone 3 has removed Phone 2.']],
    [{}, []],
  ])) {
    await t.test(JSON.stringify(extraPayload), async (t) => {
      const { session, store, shownMessages, send } = await createPhone(t);
      await session.start();
      await settlePromises();
      send(snapshot);
      for (let delivery = 0; delivery < 2; delivery += 1) send(memberLeft('m2', extraPayload));
      await settlePromises();
      assert.deepEqual(shownMessages, expectedMessages);
      assert.deepEqual(Object.keys(store.get().room?.clients ?? {}), ['m1']);
    });
  }
});

test('leaving shows no error if the stream ends before the response', async (t) => {
  const { session, store, responses, send, breakStream } = await createPhone(t);
  await session.start();
  await settlePromises();
  send(snapshot);
  await settlePromises();
  responses['/clock'] = () => Response.json({ status: 401 }, { status: 401 });
  let respond = (/** @type {Response} */ _) => {};
  responses['/leave'] = () => new Promise((resolve) => (respond = resolve));
  const leaving = session.leave();
  breakStream();
  await settlePromises();
  assert.deepEqual([store.get().view, store.get().disconnectReason], ['join', null]);
  respond(new Response(null, { status: 204 }));
  await leaving;
  responses['/leave'] = () => new Response(null, { status: 204 });
});

const garden = () => room({ eventCount: 3, queue: ['c', 'a'], queueIndex: 0 });
const enterGarden = () => Response.json({ memberId: 'm1', eventCount: 3, snapshot: garden() });
const problem = (/** @type {number} */ status, /** @type {string} */ code) => () => Response.json({ code, detail: code }, { status });

test('the requests of another room go below its address, others to the house', async (t) => {
  const { session, store, responses, takeRequestedPaths } = await createPhone(t);
  responses['/rooms/k3/enter'] = enterGarden;
  responses['/rooms'] = () => Response.json([{ roomId: 'house' }, { roomId: 'k3' }]);
  await session.start();
  await settlePromises();
  store.update({ history: /** @type {any} */ ([{ id: 1 }]), pendingCommands: /** @type {any} */ ([{ name: 'next' }]) });
  takeRequestedPaths();
  await session.moveTo('k3');
  await settlePromises();
  assert.deepEqual(takeRequestedPaths().filter((path) => path !== '/clock').toSorted(), ['/index', '/rooms', '/rooms/k3/enter', '/rooms/k3/events']);
  const { roomId, room: entered, memberId, history, pendingCommands, rooms } = store.get();
  assert.deepEqual([roomId, entered?.eventCount, memberId, rooms.length], ['k3', 3, 'm1', 2]);
  assert.deepEqual([history, pendingCommands], [[], []], 'what belongs to the room before');
});

test('a phone that is not let in stays in its room', async (t) => {
  const { session, store, responses, takeRequestedPaths } = await createPhone(t);
  responses['/rooms/k3/enter'] = problem(403, 'password-needed');
  await session.start();
  await settlePromises();
  takeRequestedPaths();
  await assert.rejects(session.moveTo('k3'));
  await settlePromises();
  assert.deepEqual([store.get().roomId, store.get().room?.eventCount], ['house', 7]);
  assert.deepEqual(takeRequestedPaths(), ['/rooms/k3/enter']);
});

/** @param {Awaited<ReturnType<typeof createPhone>>} phone @param {string} roomId @returns {() => Promise<void>} lets the phone in */
function delayEntry({ responses }, roomId) {
  let respond = (/** @type {Response} */ _) => {};
  responses[`/rooms/${roomId}/enter`] = () => new Promise((resolve) => (respond = resolve));
  responses[`/rooms/${roomId}/events`] = responses['/events'];
  return async () => {
    respond(enterGarden());
    await settlePromises();
  };
}

test('the later of two moves wins, whichever response is first', async (t) => {
  const phone = await createPhone(t);
  const { session, store } = phone;
  await session.start();
  const [letIntoSlow, letIntoFast] = [delayEntry(phone, 'k3'), delayEntry(phone, 'k4')];
  const moves = [session.moveTo('k3'), session.moveTo('k4')];
  await letIntoFast();
  await letIntoSlow();
  assert.deepEqual(await Promise.all(moves), [false, true]);
  assert.equal(store.get().roomId, 'k4');
});

test('a wish for the present room ends the move that is under way', async (t) => {
  const phone = await createPhone(t);
  const { session, store, takeRequestedPaths } = phone;
  await session.start();
  const letIn = delayEntry(phone, 'k3');
  const move = session.moveTo('k3');
  assert.equal(await session.moveTo('house'), true);
  await letIn();
  assert.equal(await move, false);
  assert.equal(store.get().roomId, 'house');
  assert.equal(takeRequestedPaths().includes('/rooms/k3/events'), false);
});

test('an earlier move that fails is not reported', async (t) => {
  const phone = await createPhone(t);
  const { session, store, responses } = phone;
  await session.start();
  let refuse = (/** @type {Response} */ _) => {};
  responses['/rooms/k3/enter'] = () => new Promise((resolve) => (refuse = resolve));
  const letIn = delayEntry(phone, 'k4');
  const moves = [session.moveTo('k3'), session.moveTo('k4')];
  await letIn();
  refuse(Response.json({ code: 'password-needed' }, { status: 403 }));
  assert.deepEqual(await Promise.all(moves), [false, true]);
  assert.equal(store.get().roomId, 'k4');
});

test('a removed room is not shown while the house room is loading', async (t) => {
  const { session, store, responses, breakStream } = await createPhone(t);
  responses['/rooms/k3/enter'] = enterGarden;
  responses['/rooms/k3/events'] = responses['/events'];
  setCurrentRoom('k3');
  await session.start();
  await settlePromises();
  responses['/rooms/k3/events'] = problem(404, 'no-such-room');
  responses['/snapshot'] = /** @type {any} */ (neverResponds);
  breakStream();
  await settlePromises();
  t.mock.timers.tick(500);
  await settlePromises();
  assert.deepEqual([store.get().view, store.get().roomId, store.get().room], ['starting', 'house', null]);
});

test('pairing at the address of a removed room goes on with the house', async (t) => {
  const { session, responses, shownMessages, takeRequestedPaths } = await createPhone(t);
  responses['/rooms/k3/enter'] = problem(401, 'not-paired');
  responses['/rooms/k3/pair'] = problem(404, 'no-such-room');
  responses['/pair'] = () => Response.json({ memberId: 'm1', snapshot: room() });
  setCurrentRoom('k3');
  await session.start();
  await assert.rejects(session.join('123456', 'Ada'));
  assert.deepEqual(shownMessages, ['gone']);
  takeRequestedPaths();
  await session.join('123456', 'Ada');
  assert.equal(takeRequestedPaths()[0], '/pair');
});

test('a removed room leads to the house room', async (t) => {
  const { session, store, responses, shownMessages, breakStream } = await createPhone(t);
  responses['/rooms/k3/enter'] = enterGarden;
  responses['/rooms/k3/events'] = responses['/events'];
  setCurrentRoom('k3');
  await session.start();
  await settlePromises();
  assert.equal(store.get().roomId, 'k3');
  responses['/rooms/k3/events'] = problem(404, 'no-such-room');
  breakStream();
  await settlePromises();
  t.mock.timers.tick(500);
  await settlePromises();
  assert.deepEqual([store.get().roomId, store.get().room?.eventCount, shownMessages], ['house', 7, ['gone']]);
});

test('the page of a locked room asks a paired phone for the password', async (t) => {
  const { session, store, responses } = await createPhone(t);
  responses['/rooms/k3/enter'] = problem(403, 'password-needed');
  setCurrentRoom('k3');
  responses['/rooms'] = () => Response.json([{ roomId: 'house', name: 'House' }, { roomId: 'k3', name: 'Garden' }]);
  await session.start();
  assert.deepEqual([store.get().view, store.get().isRoomLocked, store.get().roomId, store.get().rooms.length], ['join', true, 'k3', 2]);
  responses['/rooms/k3/enter'] = enterGarden;
  assert.equal(await session.moveTo('k3', 'open sesame'), true);
  assert.deepEqual([store.get().view, store.get().isRoomLocked, store.get().roomId], ['room', false, 'k3']);
});

test('a page whose phone listens elsewhere follows as a remote control', async (t) => {
  const { session, store, send, responses } = await createPhone(t);
  /** @type {string[]} */
  const queries = [];
  const fetched = /** @type {any} */ (globalThis.fetch);
  t.mock.method(globalThis, 'fetch', (/** @type {string} */ path, /** @type {any} */ init) => {
    if (path.startsWith('./events')) queries.push(path.slice('./events'.length));
    return fetched(path, init);
  });
  assert.ok(responses['/events']);
  await session.start();
  await settlePromises();
  send(snapshot);
  await settlePromises();
  send({ event: 'moved', payload: { roomId: 'k3' }, eventCount: 7 });
  await settlePromises();
  assert.equal(store.get().movedTo, 'k3');
  store.update({ movedTo: null });
  await settlePromises();
  assert.deepEqual(queries, ['', '?role=remote', '']);
});

test('the list of rooms follows the event stream', async (t) => {
  const { session, store, send } = await createPhone(t);
  await session.start();
  await settlePromises();
  send(snapshot);
  send({ event: 'rooms', payload: [{ roomId: 'house', name: 'Kitchen' }], eventCount: 7 });
  await settlePromises();
  assert.deepEqual(store.get().rooms, [{ roomId: 'house', name: 'Kitchen' }]);
});
