// Sending speaker delays.

import assert from 'node:assert/strict';
import test from 'node:test';
import { catchUp, sendDelays } from '../../../static/js/net/commands.js';
import { createStore } from '../../../static/js/store.js';
import { room } from '../support/rooms.mjs';

test('sent delays count as set once the room contains them', async (t) => {
  const requests = [];
  t.mock.method(globalThis, 'fetch', async (path, { body }) => {
    requests.push([path.slice(1), JSON.parse(body)]);
    return Response.json({ eventCount: 8 });
  });
  const store = createStore({ room: room({ eventCount: 7 }) });
  let isSet = false;
  const sending = sendDelays(store, { m1: 40 }).then(() => (isSet = true));
  await new Promise(setImmediate);
  assert.deepEqual([requests, isSet], [[['/tune', { delays: { m1: 40 } }]], false]);
  store.update({ room: room({ eventCount: 8 }) });
  await sending;
  assert.equal(isSet, true);
  const compared = { by: 'ear', memberIds: ['m1', 'm2'] };
  await sendDelays(store, { m1: 30 }, compared);
  assert.deepEqual(requests.pop(), ['/tune', { delays: { m1: 30 }, compared }]);
  assert.equal(requests.length, 1);
});

test('an old snapshot replaces neither a newer state nor another room', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  for (const present of [{ roomId: 'k3', room: room({ eventCount: 9 }) }, { roomId: 'house', room: room({ eventCount: 3 }) }]) {
    let respond = (/** @type {Response} */ _) => {};
    t.mock.method(globalThis, 'fetch', () => new Promise((resolve) => (respond = resolve)));
    const store = createStore(/** @type {any} */ ({ roomId: 'k3', room: room({ eventCount: 6 }) }));
    const caughtUp = catchUp(store, 8, 'k3');
    t.mock.timers.tick(400);
    await new Promise(setImmediate);
    store.update(/** @type {any} */ (present));
    respond(Response.json(room({ eventCount: 8 })));
    await caughtUp;
    assert.equal(store.get().room?.eventCount, present.room.eventCount);
  }
});
