// Actions on the queue and their Undo, against a simulated server that answers in order.

import assert from 'node:assert/strict';
import test from 'node:test';
import { createQueueActions } from '../../../static/js/app/queue-actions.js';
import { createCommands } from '../../../static/js/net/commands.js';
import { withAdvanced, withMoved, withNudged, withPicked, withUnpicked } from '../../../static/js/room/picks.js';
import { DEFAULT_RULES } from '../../../static/js/room/rules.js';
import { createStore } from '../../../static/js/store.js';
import { playing } from '../support/rooms.mjs';
import { settlePromises } from '../support/promises.mjs';

const pick = (/** @type {string} */ trackId, by = 'm2') => ({ trackId, by, votes: [], pinned: false });

/** What the server does, for each command. @type {Record<string, (room: any, body: any) => any>} */
const EFFECTS = {
  pick: (room, { trackIds }) => withPicked(room, trackIds, 'm1'),
  unpick: (room, { trackIds }) => withUnpicked(room, trackIds),
  nudge: (room, { trackId }) => withNudged(room, trackId, 'm1'),
  move: (room, { trackId, before }) => withMoved(room, trackId, before),
  next: withAdvanced,
  'play-now': (room, { trackId }) => withAdvanced(withNudged(room, trackId, 'm1')),
  undo: (room) => ({ ...room, picks: [] }),
};

/** The queue is a b c d e; `b` is current. @param {import('node:test').TestContext} t @param {string[]} picks */
function createPhone(t, picks) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  /** @type {{name: string, body: any, respond: (response: Response) => void}[]} */
  const waiting = [];
  /** @type {string[]} */
  const sent = [];
  t.mock.method(globalThis, 'fetch', (/** @type {string} */ path, /** @type {any} */ { body }) => new Promise((respond) => {
    const name = path.split('/').at(-1) ?? '';
    const { trackId, trackIds, before } = JSON.parse(body);
    sent.push([name, trackId ?? trackIds?.join(','), before].filter(Boolean).join(' '));
    waiting.push({ name, body: JSON.parse(body), respond });
  }));
  const store = createStore(/** @type {any} */ ({ room: null, pendingCommands: [], connection: 'open', memberId: 'm1', sound: { predictedStart: null } }));
  store.update({ room: playing(0, { picks: picks.map((trackId) => pick(trackId)) }) });
  /** @type {{message: string, undo: (() => void) | null} | null} */
  let bubble = null;
  const sendCommand = createCommands({ store, showMessage: () => {}, onNoResponse: () => {}, pauseHere: () => {} });
  const actions = createQueueActions({
    store,
    sendCommand,
    showBubble: (message, action) => {
      const shown = { message, undo: action?.run ?? null };
      bubble = shown;
      return () => void (bubble === shown && (bubble = null));
    },
  });
  const change = (/** @type {(room: any) => any} */ effect) => {
    const { room } = store.get();
    store.update({ room: { ...effect(room), eventCount: room.eventCount + 1 } });
  };
  const phone = {
    actions, sent, sendCommand,
    /** Somebody else's change. */
    change,
    bubble: () => bubble && [bubble.message, bubble.undo ? 'Undo' : ''].join(' ').trim(),
    undo: () => bubble?.undo?.(),
    picks: () => store.get().room.picks.map((/** @type {{trackId: string}} */ { trackId }) => trackId).join(''),
    /** Answers all requests; `between`: somebody else's change, which arrives before the first answer. */
    settle: async (/** @type {(room: any) => any} */ between = undefined) => {
      await settlePromises();
      for (let request = waiting.shift(); request; request = waiting.shift()) {
        const { name, body, respond } = request;
        change((room) => EFFECTS[name](room, body));
        const { eventCount } = store.get().room;
        if (between) change(between);
        between = undefined;
        respond(Response.json({ eventCount }));
        await settlePromises();
      }
    },
    refuse: async () => {
      await settlePromises();
      waiting.shift()?.respond(Response.json({ title: 'no' }, { status: 422 }));
      await settlePromises();
    },
  };
  return phone;
}

test('Undo at once is sent as such', async (t) => {
  const phone = createPhone(t, []);
  phone.actions.add(['e']);
  await phone.settle();
  assert.equal(phone.bubble(), 'Added. 1st in line. Undo');
  phone.undo();
  await phone.settle();
  assert.deepEqual(phone.sent, ['pick e', 'undo']);
});

test('Undo before the response is sent as such', async (t) => {
  const phone = createPhone(t, []);
  phone.actions.add(['e']);
  phone.undo();
  await phone.settle();
  assert.deepEqual(phone.sent, ['pick e', 'undo']);
});

test('the bubble disappears with an own Next', async (t) => {
  const phone = createPhone(t, ['c', 'd']);
  phone.actions.remove('d');
  await phone.settle();
  assert.equal(phone.bubble(), 'Removed. Undo');
  phone.sendCommand(() => ({ name: 'next' }));
  assert.equal(phone.bubble(), null);
});

/** [action, picks before, somebody else's change, commands of Undo, picks after] */
const inverses = [
  ['add', (actions) => actions.add(['e']), 'c', (room) => withPicked(room, ['a'], 'm2'), ['unpick e'], 'ca'],
  ['remove', (actions) => actions.remove('c'), 'cd', (room) => withPicked(room, ['a'], 'm2'), ['pick c', 'move c d'], 'cda'],
  ['move', (actions) => actions.moveBy('c', 1), 'cd', (room) => withPicked(room, ['a'], 'm2'), ['move c d'], 'cda'],
  ['play next', (actions) => actions.playNext('e'), 'cd', (room) => withPicked(room, ['a'], 'm2'), ['unpick e'], 'cda'],
];
for (const [name, action, before, othersChange, expected, after] of inverses) {
  for (const when of ['after', 'before']) {
    test(`Undo of ${name} is its inverse, others’ change ${when} the response`, async (t) => {
      const phone = createPhone(t, [...before]);
      action(phone.actions);
      await phone.settle(when === 'before' ? othersChange : undefined);
      if (when === 'after') phone.change(othersChange);
      phone.sent.length = 0;
      phone.undo();
      await phone.settle();
      assert.deepEqual([phone.sent, phone.picks()], [expected, after]);
    });
  }
}

test('Undo is too late when the added track has become current', async (t) => {
  const phone = createPhone(t, []);
  phone.actions.add(['e']);
  await phone.settle();
  phone.change(withAdvanced);
  phone.undo();
  await phone.settle();
  assert.deepEqual(phone.sent, ['pick e']);
  assert.equal(phone.bubble(), 'Too late to undo: the queue has changed since');
});

test('Undo of what has no inverse is too late after another change', async (t) => {
  const phone = createPhone(t, ['c', 'd']);
  phone.actions.playNow('e');
  await phone.settle();
  phone.change((room) => withPicked(room, ['a'], 'm2'));
  phone.undo();
  await phone.settle();
  assert.deepEqual([phone.sent, phone.bubble()], [['play-now e'], 'Too late to undo: the queue has changed since']);
});

test('a refused action has no bubble', async (t) => {
  const phone = createPhone(t, ['c']);
  phone.actions.remove('c');
  await phone.refuse();
  assert.equal(phone.bubble(), null);
});

test('what somebody else has done already has no Undo', async (t) => {
  const phone = createPhone(t, ['c']);
  const { actions } = phone;
  actions.remove('c');
  phone.change((room) => withUnpicked(room, ['c']));
  await phone.settle();
  assert.deepEqual([phone.sent, phone.bubble()], [[], 'Removed.']);
});

test('an album plays next by one addition if nothing else is picked', async (t) => {
  const phone = createPhone(t, []);
  phone.actions.playAllNext(['a', 'b', 'c', 'd']);
  await phone.settle();
  assert.deepEqual([phone.sent, phone.picks()], [['pick a,c,d'], 'acd']);
  phone.undo();
  await phone.settle();
  assert.equal(phone.sent.at(-1), 'undo');
});

test('an album comes before other picks, and can be taken back', async (t) => {
  const phone = createPhone(t, ['e', 'c']);
  phone.actions.playAllNext(['a', 'c', 'd']);
  await phone.settle();
  assert.deepEqual([phone.sent, phone.picks()], [['pick a,d', 'move a e', 'move c e', 'move d e'], 'acde']);
  phone.undo();
  await phone.settle();
  assert.deepEqual([phone.sent.at(-1), phone.picks()], ['unpick a,d', 'ce']);
});

test('an album that cannot be added is not moved either', async (t) => {
  const phone = createPhone(t, ['e']);
  phone.actions.playAllNext(['a', 'c']);
  await phone.refuse();
  await phone.settle();
  assert.deepEqual([phone.sent, phone.bubble()], [['pick a,c'], null]);
});

test('Undo of a removal moves nothing where votes decide the order', async (t) => {
  const phone = createPhone(t, ['c', 'd']);
  phone.change((room) => ({ ...room, rules: { ...DEFAULT_RULES, order: 'votes' } }));
  phone.actions.remove('c');
  await phone.settle();
  phone.change((room) => withPicked(room, ['a'], 'm2'));
  phone.undo();
  await phone.settle();
  assert.deepEqual(phone.sent, ['unpick c', 'pick c']);
});

test('of an album, as many tracks are added as may wait', async (t) => {
  const phone = createPhone(t, []);
  phone.change((room) => ({ ...room, rules: { ...DEFAULT_RULES, maxPicks: 2 }, hosts: ['m2'] }));
  phone.actions.add(['c', 'd', 'e']);
  await phone.settle();
  assert.deepEqual([phone.sent, phone.bubble()], [['pick c,d'], 'Added 2 of 3 tracks: you may have no more waiting. The first is 1st in line. Undo']);
  phone.actions.add(['e', 'a']);
  await phone.settle();
  assert.deepEqual(phone.sent, ['pick c,d'], 'no place is left');
});
