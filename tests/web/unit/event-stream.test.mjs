// The event stream: missing heartbeats, lost connections, and reconnection.

import assert from 'node:assert/strict';
import test from 'node:test';
import { createEventStream } from '../../../static/js/net/event-stream.js';
import { settlePromises } from '../support/promises.mjs';

/** @param {import('node:test').TestContext} t */
function openStream(t, { mayReconnect = true } = {}) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  /** @type {ReadableStreamDefaultController[]} */
  const responseBodies = [];
  t.mock.method(globalThis, 'fetch', async (_, { signal }) => new Response(new ReadableStream({
    start: (body) => {
      responseBodies.push(body);
      signal.addEventListener('abort', () => { try { body.error(new Error('aborted')); } catch { /* closed before */ } });
    },
  })));
  /** @type {string[]} */
  const events = [];
  const stream = createEventStream({
    query: () => '',
    onOpen: async () => {},
    onMessage: ({ event }) => events.push(event),
    onLost: async () => mayReconnect,
  });
  stream.open();
  t.after(stream.close);
  return {
    stream, events,
    connections: () => responseBodies.length,
    send: (/** @type {string} */ text) => responseBodies.at(-1)?.enqueue(new TextEncoder().encode(text)),
    breakConnection: () => responseBodies.at(-1)?.error(new Error('broken')),
    advance: async (/** @type {number} */ ms) => {
      await settlePromises();
      t.mock.timers.tick(ms);
      await settlePromises();
    },
  };
}

test('a stream without a heartbeat for 11 s is replaced', async (t) => {
  const { connections, send, advance } = openStream(t);
  for (let heartbeat = 0; heartbeat < 3; heartbeat += 1) {
    await advance(10_000);
    send(':\n\n');
  }
  await advance(10_000);
  assert.equal(connections(), 1);
  await advance(1_000);
  await advance(500);
  assert.equal(connections(), 2);
});

test('messages are delivered before and after a reconnection', async (t) => {
  const { events, send, breakConnection, advance } = openStream(t);
  await settlePromises();
  send('data: {"event":"first"}\n\n');
  await settlePromises();
  breakConnection();
  await advance(500);
  send('data: {"event":"second"}\n\n');
  await settlePromises();
  assert.deepEqual(events, ['first', 'second']);
});

test('a stream is not reopened if onLost returns false', async (t) => {
  const { connections, breakConnection, advance } = openStream(t, { mayReconnect: false });
  await settlePromises();
  breakConnection();
  await advance(60_000);
  assert.equal(connections(), 1);
});

test('reconnectNow skips the back-off, and does nothing while connected or closed', async (t) => {
  const { stream, connections, breakConnection } = openStream(t);
  await settlePromises();
  stream.reconnectNow();
  await settlePromises();
  assert.equal(connections(), 1, 'reconnectNow must not open a connection while connected');
  breakConnection();
  await settlePromises();
  stream.reconnectNow();
  await settlePromises();
  assert.equal(connections(), 2, 'reconnectNow must open a connection after a loss');
  stream.close();
  stream.reconnectNow();
  await settlePromises();
  assert.equal(connections(), 2, 'reconnectNow must not open a connection after close');
});
