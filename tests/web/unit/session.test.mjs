// A stay in the room, against a server that is made up: what is asked for, when, and what is made of it.

import assert from 'node:assert/strict';
import test from 'node:test';
import { createSession } from '../../../static/js/session.js';
import { createStore } from '../../../static/js/store.js';
import { room } from '../support/rooms.mjs';

globalThis.document ??= /** @type {any} */ (new EventTarget());
globalThis.addEventListener ??= () => {};

const track = (/** @type {string} */ trackId, version = 'v1') => ({ trackId, version, tags: { title: trackId } });
const message = (/** @type {object} */ data) => new TextEncoder().encode(`data: ${JSON.stringify(data)}\n\n`);
const turns = async () => {
  for (let turn = 0; turn < 30; turn += 1) await new Promise(setImmediate);
};

/** @param {import('node:test').TestContext} t */
async function enter(t) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  /** @type {string[]} */
  const asked = [];
  /** @type {string[]} */
  const said = [];
  /** @type {ReadableStreamDefaultController[]} */
  const streams = [];
  /** @type {Record<string, (signal: AbortSignal) => Response | Promise<Response>>} */
  const answers = {
    '/snapshot': () => Response.json(room(), { headers: { 'Lockstep-Member': 'm1' } }),
    '/index': () => Response.json([track('a')], { headers: { ETag: '"1"' } }),
    '/clock': () => Response.json({ receivedMs: 5, serverMs: 5 }),
    '/events': (signal) => new Response(new ReadableStream({ start: (body) => {
      streams.push(body);
      signal.addEventListener('abort', () => { try { body.error(new Error('given up')); } catch { /* ended before */ } });
    } })),
    '/leave': () => new Response(null, { status: 204 }),
  };
  t.mock.method(globalThis, 'fetch', async (path, { signal }) => {
    const name = path.split('?')[0];
    asked.push(name);
    return answers[name]?.(signal);
  });
  const state = { view: 'starting', room: null, memberId: null, index: new Map(), connection: 'connecting', settings: {}, clock: null };
  const store = createStore(/** @type {any} */ (state));
  const known = { tracks: () => new Map(), take: (/** @type {any} */ index) => index };
  const session = createSession({ store, place: () => null, known: Promise.resolve(/** @type {any} */ (known)), say: (text) => said.push(text) });
  t.after(async () => {
    await session.leave();
    await turns();
  });
  return {
    session, store, answers, said,
    asked: () => asked.splice(0),
    say: (/** @type {object} */ data) => streams.at(-1)?.enqueue(message(data)),
    breakOff: () => streams.at(-1)?.error(new Error('broken')),
  };
}

const never = () => new Promise(() => {});
const snapshot = { event: 'snapshot', payload: room(), eventCount: 7 };

test('the room is followed while the index is still on its way', async (t) => {
  const { session, store, answers, asked, say } = await enter(t);
  answers['/index'] = /** @type {any} */ (never);
  await session.start();
  await turns();
  assert.ok(asked().includes('/events'));
  say(snapshot);
  await turns();
  assert.equal(store.get().connection, 'open');
});

test('a large index may come as slowly as it likes, and is given up when nothing comes any more', async (t) => {
  const { session, store, answers } = await enter(t);
  const text = JSON.stringify([track('a')]);
  /** @type {ReadableStreamDefaultController} */
  let body;
  let aborted = 0;
  answers['/index'] = (signal) => new Response(new ReadableStream({ start: (own) => {
    body = own;
    signal.addEventListener('abort', () => { aborted += 1; own.error(new Error('given up')); });
  } }));
  await session.start();
  for (const letter of text) {
    await turns();
    body.enqueue(new TextEncoder().encode(letter));
    await turns();
    t.mock.timers.tick(5_000);
  }
  body.close();
  await turns();
  assert.deepEqual([...store.get().index.keys()], ['a']);
  assert.equal(aborted, 0);
  session.refreshIndex();
  await turns();
  t.mock.timers.tick(8_000);
  await turns();
  assert.equal(aborted, 1);
});

test('an index that is still the same changes nothing, and one that is not keeps the tracks that are', async (t) => {
  const { session, store, answers } = await enter(t);
  await session.start();
  await turns();
  const { index } = store.get();
  assert.equal(index.size, 1);
  await session.refreshIndex();
  assert.equal(store.get().index, index);
  answers['/index'] = () => Response.json([track('a'), track('b')], { headers: { ETag: '"2"' } });
  await session.refreshIndex();
  assert.equal(store.get().index.size, 2);
  assert.equal(store.get().index.get('a'), index.get('a'));
});

test('an index that is asked for while another is on its way is asked for after that, once', async (t) => {
  const { session, store, answers, asked } = await enter(t);
  await session.start();
  await turns();
  asked();
  /** @type {((response: Response) => void)[]} */
  const waiting = [];
  answers['/index'] = () => new Promise((resolve) => waiting.push(resolve));
  for (let i = 0; i < 3; i += 1) session.refreshIndex();
  await turns();
  assert.equal(waiting.length, 1);
  for (const version of ['v2', 'v3']) {
    waiting.shift()?.(Response.json([track('a', version)], { headers: { ETag: version } }));
    await turns();
  }
  assert.equal(store.get().index.get('a')?.version, 'v3');
  assert.equal(waiting.length, 0);
});

test('a gap that is seen while the room is being asked for is closed as well', async (t) => {
  const { session, store, answers, say } = await enter(t);
  await session.start();
  await turns();
  say(snapshot);
  await turns();
  /** @type {((response: Response) => void)[]} */
  const waiting = [];
  answers['/snapshot'] = () => new Promise((resolve) => waiting.push(resolve));
  const event = (/** @type {number} */ eventCount) => say({ event: 'playback.paused', payload: { patch: [] }, eventCount });
  event(9);
  await turns();
  event(11);
  await turns();
  for (const eventCount of [9, 11]) {
    waiting.shift()?.(Response.json(room({ eventCount })));
    await turns();
  }
  assert.equal(store.get().room?.eventCount, 11);
});

test('a stream that is lost asks for something small, and leads to the door where nobody is known any more', async (t) => {
  const { session, store, answers, asked, say, breakOff } = await enter(t);
  await session.start();
  await turns();
  say(snapshot);
  await turns();
  asked();
  breakOff();
  await turns();
  assert.deepEqual(asked(), ['/clock']);
  t.mock.timers.tick(500);
  await turns();
  answers['/clock'] = () => Response.json({ status: 401, detail: 'who are you?' }, { status: 401 });
  breakOff();
  await turns();
  assert.equal(store.get().view, 'join');
  assert.equal(store.get().trouble, 'This phone is no longer paired.');
});

const left = (/** @type {string} */ memberId, /** @type {object} */ more = {}) =>
  ({ event: 'client.left', payload: { memberId, ...more, patch: [{ op: 'remove', path: `/clients/${memberId}` }] }, eventCount: 8 });

test('a phone that is removed by another one is at the door, and told by whom', async (t) => {
  const { session, store, answers, said, say } = await enter(t);
  await session.start();
  await turns();
  say(snapshot);
  await turns();
  answers['/clock'] = () => Response.json({ status: 401 }, { status: 401 });
  say(left('m1', { removedBy: 'm2' }));
  await turns();
  assert.equal(store.get().view, 'join');
  assert.equal(store.get().trouble, 'Phone 2 has removed this phone.');
  assert.deepEqual(said, []);
});

test('that another phone is removed is said once, and that one leaves is not', async (t) => {
  for (const [more, text] of /** @type {[object, string[]][]} */ ([
    [{ removedBy: 'm1' }, ['Phone 2 is removed.']],
    [{ removedBy: 'm3' }, ['Phone 3 has removed Phone 2.']],
    [{}, []],
  ])) {
    await t.test(JSON.stringify(more), async (t) => {
      const { session, store, said, say } = await enter(t);
      await session.start();
      await turns();
      say(snapshot);
      for (let twice = 0; twice < 2; twice += 1) say(left('m2', more));
      await turns();
      assert.deepEqual(said, text);
      assert.deepEqual(Object.keys(store.get().room?.clients ?? {}), ['m1']);
    });
  }
});

test('a phone that leaves is told nothing, though its stream ends before the answer comes', async (t) => {
  const { session, store, answers, say, breakOff } = await enter(t);
  await session.start();
  await turns();
  say(snapshot);
  await turns();
  answers['/clock'] = () => Response.json({ status: 401 }, { status: 401 });
  let answer = (/** @type {Response} */ _) => {};
  answers['/leave'] = () => new Promise((resolve) => (answer = resolve));
  const gone = session.leave();
  breakOff();
  await turns();
  assert.deepEqual([store.get().view, store.get().trouble], ['join', null]);
  answer(new Response(null, { status: 204 }));
  await gone;
  answers['/leave'] = () => new Response(null, { status: 204 });
});
