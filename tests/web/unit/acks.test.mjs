import assert from 'node:assert/strict';
import { once } from 'node:events';
import test from 'node:test';
import { createAcks } from '../../../static/js/acks.js';
import { createStore } from '../../../static/js/store.js';
import { room } from '../support/rooms.mjs';

test('what the server could not take is told again a second later, though nothing happens meanwhile', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const said = new EventTarget();
  const answers = [503, 'lost', 200];
  let asked = 0;
  t.mock.method(globalThis, 'fetch', async (_, { body }) => {
    assert.deepEqual(JSON.parse(body), { trackId: 'b', playable: true });
    const answer = answers[asked];
    asked += 1;
    setImmediate(() => said.dispatchEvent(new Event(`told ${asked} times`)));
    if (answer === 'lost') throw new TypeError('the network is gone');
    return Response.json({ eventCount: 8 }, { status: answer });
  });
  const store = createStore(/** @type {any} */ ({
    room: null, memberId: 'm1', ready: new Set(['b']), unplayable: new Map(), connection: 'open', settings: { remote: false },
  }));
  createAcks(store);
  for (const [times, step] of [[1, () => store.update({ room: room() })], [2, () => t.mock.timers.tick(1_000)], [3, () => t.mock.timers.tick(1_000)]]) {
    const told = once(said, `told ${times} times`);
    step();
    await told;
    await new Promise(setImmediate);
  }
  t.mock.timers.tick(10_000);
  assert.equal(asked, 3);
});
