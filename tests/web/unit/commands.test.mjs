// Commands of this phone against a simulated server that responds on demand.

import assert from 'node:assert/strict';
import test from 'node:test';
import { createCommands } from '../../../static/js/net/commands.js';
import { DEFAULT_RULES } from '../../../static/js/room/rules.js';
import { createStore } from '../../../static/js/store.js';
import { playing, room } from '../support/rooms.mjs';
import { settlePromises } from '../support/promises.mjs';

/**
 * @param {import('node:test').TestContext} t
 * @param {object} initialRoom
 */
function createPhone(t, initialRoom) {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  /** @type {{path: string, eventCount: string, body: any, signal: AbortSignal, respond: (response: Response) => void}[]} */
  const requests = [];
  t.mock.method(globalThis, 'fetch', (path, { headers, body, signal }) => new Promise((respond) => {
    requests.push({ path: path.slice(1), eventCount: headers['If-Match-Event'], body: JSON.parse(body), signal, respond });
  }));
  const store = createStore(/** @type {any} */ ({ room: initialRoom, pendingCommands: [], connection: 'open', disconnectReason: null, sound: { predictedStart: null } }));
  /** @type {string[]} */
  const shownMessages = [];
  let unansweredCount = 0;
  let localPauseCount = 0;
  const sendCommand = createCommands({
    store,
    showMessage: (text) => shownMessages.push(text),
    onNoResponse: () => (unansweredCount += 1),
    pauseHere: () => (localPauseCount += 1),
  });
  return {
    store, shownMessages, requests, sendCommand,
    localPauseCount: () => localPauseCount,
    unansweredCount: () => unansweredCount,
    sendNext: () => sendCommand(() => ({ name: 'next' })),
    /** Applies the change of the latest request to the store, as the event stream would, and then responds to the request. */
    accept: async (/** @type {object} */ change) => {
      const eventCount = (store.get().room?.eventCount ?? 0) + 1;
      store.update({ room: /** @type {any} */ ({ ...store.get().room, ...change, eventCount }) });
      requests.at(-1)?.respond(Response.json({ eventCount }));
      await settlePromises();
    },
    /** Applies another change to the store, and responds to the latest request with 409. */
    refuse: async (/** @type {object} */ change) => {
      const eventCount = (store.get().room?.eventCount ?? 0) + 1;
      store.update({ room: /** @type {any} */ ({ ...store.get().room, ...change, eventCount }) });
      requests.at(-1)?.respond(Response.json({ expectedEventCount: eventCount }, { status: 409 }));
      await settlePromises();
    },
  };
}

test('queued commands are sent in order, each with the updated event count', async (t) => {
  const { store, requests, sendNext, accept } = createPhone(t, playing(0));
  sendNext();
  const second = sendNext();
  await settlePromises();
  assert.deepEqual(requests.map(({ path, eventCount }) => [path, eventCount]), [['/next', '7']]);
  assert.deepEqual(store.get().pendingCommands.map(({ trackId }) => trackId), ['b', 'c'], 'both commands must be pending at once');
  await accept({ queueIndex: 2 });
  assert.deepEqual(requests.map(({ eventCount }) => eventCount), ['7', '8']);
  await accept({ queueIndex: 3 });
  await second;
  assert.deepEqual(store.get().pendingCommands, []);
});

test('a command refused with 409 is resent with the new event count', async (t) => {
  const { requests, shownMessages, sendCommand, refuse, accept } = createPhone(t, playing(0));
  const processed = sendCommand(() => ({ name: 'pause', positionSec: 3 }));
  await settlePromises();
  await refuse({ clients: {} });
  assert.deepEqual(requests.map(({ eventCount }) => eventCount), ['7', '8']);
  await accept({ playState: { mode: 'paused', anchorPositionSec: 3 } });
  await processed;
  assert.deepEqual(shownMessages, []);
});

test('a command refused twice is not resent again but reported', async (t) => {
  const { requests, shownMessages, sendCommand, refuse } = createPhone(t, playing(0));
  const processed = sendCommand(() => ({ name: 'pause', positionSec: 3 }));
  await settlePromises();
  await refuse({ clients: { m1: { name: 'Ada' } } });
  await refuse({ clients: {} });
  await processed;
  assert.deepEqual(requests.map(({ eventCount }) => eventCount), ['7', '8']);
  assert.deepEqual(shownMessages, ['Out of date; refreshed']);
});

test('an addition is resent until the server accepts it', async (t) => {
  const { requests, shownMessages, sendCommand, refuse, accept } = createPhone(t, playing(0));
  const processed = sendCommand(() => ({ name: 'pick', trackIds: ['e'] }));
  await settlePromises();
  for (const trackId of ['a', 'c', 'd']) await refuse({ picks: [{ trackId, by: 'm2', votes: [], pinned: false }] });
  assert.deepEqual(requests.map(({ eventCount }) => eventCount), ['7', '8', '9', '10']);
  await accept({ picks: [{ trackId: 'e', by: 'm1', votes: [], pinned: false }] });
  assert.deepEqual([await processed, shownMessages], [{ isDone: true, eventCount: 11 }, []]);
});

test('an addition that somebody else has made too is not resent', async (t) => {
  const { requests, shownMessages, sendCommand, refuse } = createPhone(t, playing(0));
  const processed = sendCommand(() => ({ name: 'pick', trackIds: ['e'] }));
  await settlePromises();
  await refuse({ picks: [{ trackId: 'e', by: 'm2', votes: [], pinned: false }] });
  assert.deepEqual([await processed, requests.length, shownMessages], [{ isDone: true, eventCount: null }, 1, []]);
});

test('the state that an undo restores is not sent', async (t) => {
  const { requests, sendCommand, accept } = createPhone(t, playing(0));
  const processed = sendCommand(() => ({ name: 'undo', restores: { queue: ['b'], queueIndex: 0 } }));
  await settlePromises();
  await accept({});
  assert.deepEqual([await processed, requests[0]?.body], [{ isDone: true, eventCount: 8 }, {}]);
});

test('a command that fails is not done', async (t) => {
  const { requests, sendCommand } = createPhone(t, playing(0));
  const processed = sendCommand(() => ({ name: 'undo' }));
  await settlePromises();
  requests[0]?.respond(Response.json({ detail: 'Nothing to take back.' }, { status: 422 }));
  assert.deepEqual(await processed, { isDone: false, eventCount: null });
});

test('a refused command that has become redundant is dropped silently', async (t) => {
  const { requests, shownMessages, sendNext, refuse } = createPhone(t, playing(0));
  const processed = sendNext();
  await settlePromises();
  await refuse({ queueIndex: 2 });
  await processed;
  assert.deepEqual([requests.length, shownMessages], [1, []]);
});

test('a refused command that has become stale is dropped and reported', async (t) => {
  const { requests, shownMessages, sendCommand, refuse } = createPhone(t, room());
  const processed = sendCommand(() => ({ name: 'seek', positionSec: 9 }));
  await settlePromises();
  await refuse({ queueIndex: 2 });
  await processed;
  assert.deepEqual([requests.length, shownMessages], [1, ['Out of date; refreshed']]);
});

test('commands queued behind a command without a response are dropped', async (t) => {
  const { store, requests, shownMessages, sendNext, unansweredCount } = createPhone(t, playing(0));
  sendNext();
  const second = sendNext();
  await settlePromises();
  t.mock.timers.tick(3_000);
  await second;
  assert.deepEqual([requests.length, unansweredCount(), shownMessages.length], [1, 1, 1]);
  assert.deepEqual(store.get().pendingCommands, []);
});

test('while reconnecting, commands are not sent and the disconnect reason is shown', async (t) => {
  const { store, requests, shownMessages, sendNext } = createPhone(t, playing(0));
  store.update({ connection: 'reconnecting', disconnectReason: 'the state file is damaged' });
  await sendNext();
  assert.deepEqual([requests.length, shownMessages], [0, ['the state file is damaged']]);
});

const PAUSE = () => ({ name: 'pause', positionSec: 3 });

test('while reconnecting, Pause pauses this phone and is never sent', async (t) => {
  const { store, requests, shownMessages, sendCommand, localPauseCount } = createPhone(t, playing(0));
  store.update({ connection: 'reconnecting' });
  await sendCommand(PAUSE);
  store.update({ connection: 'open' });
  await settlePromises();
  assert.deepEqual([localPauseCount(), requests.length, shownMessages], [1, 0, []]);
});

test('a Pause without a response pauses this phone and is aborted', async (t) => {
  const { requests, shownMessages, sendCommand, localPauseCount } = createPhone(t, playing(0));
  const processed = sendCommand(PAUSE);
  await settlePromises();
  t.mock.timers.tick(2_900);
  assert.deepEqual([localPauseCount(), requests[0]?.signal.aborted], [0, false]);
  t.mock.timers.tick(100);
  await processed;
  assert.deepEqual([localPauseCount(), requests[0]?.signal.aborted], [1, true]);
  assert.deepEqual(shownMessages, ['The server is away: only this phone is paused.']);
});

test('a Pause queued behind an unanswered command pauses this phone', async (t) => {
  const { requests, sendNext, sendCommand, localPauseCount } = createPhone(t, playing(0));
  sendNext();
  const processed = sendCommand(PAUSE);
  await settlePromises();
  t.mock.timers.tick(3_000);
  await processed;
  assert.deepEqual([localPauseCount(), requests.map(({ path }) => path)], [1, ['/next']]);
});

test('a Pause that a later Play has taken back pauses nothing', async (t) => {
  const { sendCommand, localPauseCount } = createPhone(t, playing(0));
  sendCommand(PAUSE);
  const processed = sendCommand(() => ({ name: 'play', positionSec: 3 }));
  await settlePromises();
  t.mock.timers.tick(3_000);
  await processed;
  assert.equal(localPauseCount(), 0);
});

for (const [status, expected] of [[403, 0], [503, 1]]) {
  test(`a Pause answered with ${status} ${expected ? 'pauses' : 'does not pause'} this phone`, async (t) => {
    const { requests, shownMessages, sendCommand, localPauseCount } = createPhone(t, playing(0));
    const processed = sendCommand(PAUSE);
    await settlePromises();
    requests[0]?.respond(Response.json({ detail: 'Not now.' }, { status }));
    await processed;
    assert.deepEqual([localPauseCount(), shownMessages], [expected, ['Not now.']]);
  });
}

test('a refused command is not sent to the room that was entered meanwhile', async (t) => {
  const { store, requests, shownMessages, sendNext, refuse } = createPhone(t, playing(0));
  const first = sendNext();
  const second = sendNext();
  await settlePromises();
  store.update({ roomId: 'k3', pendingCommands: [], room: /** @type {any} */ (playing(0, { eventCount: 3 })) });
  await refuse({});
  await Promise.all([first, second]);
  assert.deepEqual(requests.map(({ path }) => path), ['/next']);
  assert.deepEqual(shownMessages, []);
});

/** A room in which Ada is host and controls alone. */
const hostsRoom = (overrides = {}) => playing(0, { hosts: ['m1'], rules: { ...DEFAULT_RULES, control: 'hosts' }, ...overrides });

test('a command that the rules forbid is not sent, and the reason is shown', async (t) => {
  const { store, requests, shownMessages, sendNext } = createPhone(t, hostsRoom());
  store.update({ memberId: 'm2' });
  assert.deepEqual(await sendNext(), { isDone: false, eventCount: null });
  assert.deepEqual([requests.length, shownMessages, store.get().pendingCommands], [0, ['Ada is host, and only hosts may do this'], []]);
});

test('a command that has become forbidden meanwhile says who may', async (t) => {
  const { store, requests, shownMessages, sendNext } = createPhone(t, hostsRoom({ rules: DEFAULT_RULES }));
  store.update({ memberId: 'm2' });
  const processed = sendNext();
  await settlePromises();
  store.update({ room: /** @type {any} */ (hostsRoom({ eventCount: 8 })) });
  requests[0]?.respond(Response.json({ detail: 'Ada is host', code: 'hosts-only' }, { status: 403 }));
  assert.deepEqual([await processed, shownMessages], [{ isDone: false, eventCount: null }, ['Ada is host, and only hosts may do this']]);
});

test('a refusal that the page does not understand is worded by its code', async (t) => {
  const { store, requests, shownMessages, sendCommand } = createPhone(t, hostsRoom({ rules: DEFAULT_RULES }));
  store.update({ memberId: 'm2' });
  const processed = sendCommand(() => ({ name: 'undo' }));
  await settlePromises();
  requests[0]?.respond(Response.json({ detail: 'Ben is DJ', code: 'dj-only' }, { status: 403 }));
  await processed;
  assert.deepEqual(shownMessages, ['Only the DJ and hosts may do this']);
});

test('the rules are the members of the request', async (t) => {
  const { requests, sendCommand, accept } = createPhone(t, playing(0));
  const processed = sendCommand(() => ({ name: 'rules', rules: { order: 'turns', maxPicks: 3 } }));
  await settlePromises();
  await accept({});
  assert.deepEqual([(await processed).isDone, requests[0]?.path, requests[0]?.body], [true, '/rules', { order: 'turns', maxPicks: 3 }]);
});
