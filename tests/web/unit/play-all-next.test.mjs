// Many tracks become next-up by one command, and by moves only where other picks are before them.

import assert from 'node:assert/strict';
import test from 'node:test';
import { createQueueActions } from '../../../static/js/app/queue-actions.js';
import { withPendingCommands } from '../../../static/js/room/optimistic.js';
import { picksOf } from '../../../static/js/room/picks.js';
import { createStore } from '../../../static/js/store.js';
import { settlePromises } from '../support/promises.mjs';
import { room } from '../support/rooms.mjs';

const LIBRARY = Array.from({ length: 100 }, (_, i) => `t${i}`);
const ids = (/** @type {number} */ from, /** @type {number} */ count) => LIBRARY.slice(from, from + count);
const picksFor = (/** @type {string[]} */ trackIds) => trackIds.map((trackId) => ({ trackId, by: 'm2', votes: [], pinned: false }));

/** @param {string[]} picked @param {string[]} trackIds @param {boolean} [succeeds] */
async function playAllNext(picked, trackIds, succeeds = true) {
  const others = LIBRARY.slice(1).filter((trackId) => !picked.includes(trackId));
  const store = createStore(/** @type {any} */ ({ room: room({ queue: ['t0', ...picked, ...others], queueIndex: 0, picks: picksFor(picked) }), sound: { predictedStart: null }, pendingCommands: [], connection: 'open' }));
  /** @type {string[]} */
  const names = [];
  let bubbles = 0;
  const actions = createQueueActions({
    store,
    sendCommand: async (makeCommand) => {
      const latest = /** @type {any} */ (store.get().room);
      const command = makeCommand(latest);
      if (command) {
        names.push(command.name);
        store.update({ room: withPendingCommands(latest, [/** @type {any} */ (command)]) });
      }
      return { isDone: succeeds, eventCount: succeeds && command ? 1 : null };
    },
    showBubble: () => {
      bubbles += 1;
      return () => (bubbles -= 1);
    },
  });
  actions.playAllNext(trackIds);
  await settlePromises();
  return { names, bubbles, picks: picksOf(/** @type {any} */ (store.get().room)).map(({ trackId }) => trackId) };
}

/** [case, picks before, tracks, picks after, number of moves] */
const cases = /** @type {const} */ ([
  ['no other picks: one command', [], ids(1, 12), ids(1, 12), 0],
  ['one other pick moves behind them', ['t50'], ids(1, 12), [...ids(1, 12), 't50'], 1],
  ['two tracks move before many', ids(50, 9), ids(1, 2), [...ids(1, 2), ...ids(50, 9)], 2],
  ['picks in another order', ['t3', 't50', 't1'], ids(1, 3), [...ids(1, 3), 't50'], 3],
  ['tracks that are first already', ids(1, 3), ids(1, 2), ids(1, 3), 0],
  ['a track named twice', [], ['t1', 't2', 't1'], ['t1', 't2'], 0],
  ['more moves than allowed: the foremost', ids(50, 40), ids(1, 40), [...ids(1, 30), ...ids(50, 40), ...ids(31, 10)], 30],
]);
for (const [name, before, trackIds, after, moveCount] of cases) {
  test(name, async () => {
    const { names, picks } = await playAllNext([...before], [...trackIds]);
    assert.deepEqual(picks, [...after]);
    assert.equal(names.filter((command) => command === 'move').length, moveCount);
    assert.ok(names.filter((command) => command !== 'move').length <= 1);
  });
}

test('the bubble disappears if a command fails', async () => {
  assert.equal((await playAllNext([], ids(1, 3), false)).bubbles, 0);
  assert.equal((await playAllNext([], ids(1, 3))).bubbles, 1);
});
