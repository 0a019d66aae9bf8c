// Several tabs of one phone: which of them sounds. The tabs share a fake channel, whose messages arrive after 1 to 4 ms.

import assert from 'node:assert/strict';
import test from 'node:test';
import { createPhonePause } from '../../../static/js/app/phone-pause.js';
import { createSoundingTab } from '../../../static/js/app/sounding-tab.js';
import { openTabChannel } from '../../../static/js/app/tab-channel.js';
import { createStore } from '../../../static/js/store.js';
import { replaceGlobals } from '../support/globals.mjs';
import { seededRandom } from '../support/seeded-random.mjs';

const MAX_MESSAGE_DELAY_MS = 4;

/** @param {import('node:test').TestContext} t */
function openPhone(t) {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  const random = seededRandom(3);
  /** The open tabs, and when the last message to each of them arrives: messages do not overtake each other. @type {Map<(message: object) => void, number>} */
  const receivers = new Map();

  /** Advances in steps of 1 ms, because a timer that another one sets would otherwise count from the end. @param {number} ms */
  function wait(ms) {
    for (let i = 0; i < ms; i += 1) t.mock.timers.tick(1);
  }

  const deliver = () => wait(MAX_MESSAGE_DELAY_MS);

  /** @param {(message: object) => void} sender @param {object} message */
  function send(sender, message) {
    // The timers of a closed tab run on in this test.
    if (!receivers.has(sender)) return;
    for (const [receive, lastAtMs] of receivers) {
      if (receive === sender) continue;
      const delayMs = 1 + Math.floor(((1 + random()) / 2) * MAX_MESSAGE_DELAY_MS);
      const atMs = Math.max(lastAtMs, Date.now() + Math.min(delayMs, MAX_MESSAGE_DELAY_MS));
      receivers.set(receive, atMs);
      setTimeout(() => receivers.has(receive) && receive(structuredClone(message)), atMs - Date.now());
    }
  }

  /** @param {{isSoundAllowed?: boolean, roomId?: string}} [options] */
  function openTab({ isSoundAllowed = true, roomId = 'house' } = {}) {
    const page = new EventTarget();
    const document = Object.assign(new EventTarget(), { visibilityState: 'visible' });
    replaceGlobals(t, { addEventListener: page.addEventListener.bind(page), document, sessionStorage: undefined });
    const store = createStore(/** @type {any} */ ({
      view: 'room', settings: { isRemoteControl: false }, sound: { isSounding: false }, isPausedHere: false, isOtherTabSounding: false, roomId, movedTo: null,
    }));
    /** @type {(message: object) => void} */
    let ownReceiver = () => {};
    const { claim } = createSoundingTab({
      store,
      isSoundAllowed: () => isSoundAllowed,
      openChannel: (receive) => {
        ownReceiver = receive;
        receivers.set(receive, 0);
        return (message) => send(receive, message);
      },
    });
    const start = () => store.update({ sound: /** @type {any} */ ({ isSounding: true }) });
    const phonePause = createPhonePause({ store, claimSound: claim, unlockSound: () => {} });
    // A question and its answer.
    wait(2 * MAX_MESSAGE_DELAY_MS);
    return {
      ...phonePause,
      store,
      /** `in ROOM` (another tab sounds in that room), `sounds`, `silent` (another tab sounds), `paused` (this phone alone) or `free`. */
      state: () => {
        const { isOtherTabSounding, isPausedHere, movedTo, sound } = store.get();
        if (movedTo !== null) return `in ${movedTo}`;
        return isPausedHere ? 'paused' : isOtherTabSounding ? 'silent' : sound.isSounding ? 'sounds' : 'free';
      },
      start,
      sound: () => {
        start();
        deliver();
      },
      show: () => {
        document.dispatchEvent(new Event('visibilitychange'));
        deliver();
      },
      close: () => {
        page.dispatchEvent(new Event('pagehide'));
        receivers.delete(ownReceiver);
        deliver();
      },
      /** Ends the tab as the system does when memory is short: without an event. */
      kill: () => receivers.delete(ownReceiver),
    };
  }
  return { openTab, wait, deliver };
}

test('a second tab leaves the sound to the first until it is asked', (t) => {
  const { openTab, deliver } = openPhone(t);
  const first = openTab();
  first.sound();
  const second = openTab();
  assert.deepEqual([first.state(), second.state()], ['sounds', 'silent']);
  second.rejoin();
  deliver();
  assert.deepEqual([first.state(), second.state()], ['silent', 'free']);
});

test('a first tab that needs a tap does not silence the second', (t) => {
  const { openTab } = openPhone(t);
  const first = openTab({ isSoundAllowed: false });
  const second = openTab();
  assert.equal(second.state(), 'free');
  second.sound();
  assert.deepEqual([first.state(), second.state()], ['silent', 'sounds']);
});

test('of two tabs that start at the same moment one sounds', (t) => {
  const { openTab, deliver } = openPhone(t);
  const tabs = [openTab({ isSoundAllowed: false }), openTab({ isSoundAllowed: false })];
  tabs.forEach((tab) => tab.start());
  deliver();
  assert.deepEqual(tabs.map((tab) => tab.state()).toSorted(), ['silent', 'sounds']);
});

test('after the sounding tab was closed another one sounds, but not during a reload', (t) => {
  const { openTab, wait } = openPhone(t);
  const first = openTab();
  const second = openTab();
  first.close();
  wait(3_000);
  const reloaded = openTab({ isSoundAllowed: false });
  wait(10_000);
  assert.deepEqual([reloaded.state(), second.state()], ['free', 'silent']);
  reloaded.close();
  wait(6_000 + MAX_MESSAGE_DELAY_MS);
  assert.equal(second.state(), 'free');
});

test('of two silent tabs one sounds after the sounding tab was closed', (t) => {
  const { openTab, wait } = openPhone(t);
  for (let i = 0; i < 10; i += 1) {
    const first = openTab();
    first.sound();
    const silentTabs = [openTab(), openTab()];
    assert.deepEqual(silentTabs.map((tab) => tab.state()), ['silent', 'silent']);
    first.close();
    wait(6_000 + 2 * MAX_MESSAGE_DELAY_MS);
    assert.deepEqual(silentTabs.map((tab) => tab.state()).toSorted(), ['free', 'silent']);
    silentTabs.find((tab) => tab.state() === 'free')?.sound();
    wait(10_000);
    assert.deepEqual(silentTabs.map((tab) => tab.state()).toSorted(), ['silent', 'sounds']);
    silentTabs.forEach((tab) => tab.close());
  }
});

test('a silent tab that closes leaves the sound where it is', (t) => {
  const { openTab, wait } = openPhone(t);
  const first = openTab();
  const [second, third, remote] = [openTab(), openTab(), openTab()];
  remote.store.update({ settings: { isRemoteControl: true }, isOtherTabSounding: false });
  third.close();
  remote.close();
  wait(6_000 + MAX_MESSAGE_DELAY_MS);
  assert.deepEqual([first.state(), second.state()], ['free', 'silent']);
});

test('a tab that is looked at finds out that the sounding one was ended', (t) => {
  const { openTab, wait } = openPhone(t);
  const first = openTab();
  const second = openTab();
  second.show();
  wait(1_000);
  assert.equal(second.state(), 'silent');
  first.kill();
  second.show();
  assert.equal(second.state(), 'silent');
  wait(1_000);
  assert.equal(second.state(), 'free');
});

test('a pause of this phone holds in all tabs and ends in any of them', (t) => {
  const { openTab, wait, deliver } = openPhone(t);
  const first = openTab();
  const second = openTab();
  first.pauseHere();
  deliver();
  const third = openTab();
  assert.deepEqual([first, second, third].map((tab) => tab.state()), ['paused', 'paused', 'paused']);
  first.close();
  wait(10_000);
  assert.equal(second.state(), 'paused');
  third.rejoin();
  deliver();
  assert.deepEqual([second, third].map((tab) => tab.state()), ['silent', 'free']);
});

test('Pause in a tab without the sound silences the tab that has it', (t) => {
  const { openTab, deliver } = openPhone(t);
  const first = openTab();
  first.sound();
  const second = openTab();
  second.pauseHere();
  deliver();
  assert.deepEqual([first.state(), second.state()], ['paused', 'paused']);
});

test('without BroadcastChannel tabs send messages through localStorage', (t) => {
  const page = new EventTarget();
  /** @type {[string, string][]} */
  const stored = [];
  replaceGlobals(t, {
    BroadcastChannel: undefined,
    addEventListener: page.addEventListener.bind(page),
    localStorage: { setItem: (key, value) => stored.push([key, value]) },
  });
  /** @type {object[]} */
  const received = [];
  const send = openTabChannel((message) => received.push(message));
  send({ type: 'ask' });
  const [[key, newValue]] = stored;
  page.dispatchEvent(Object.assign(new Event('storage'), { key, newValue }));
  page.dispatchEvent(Object.assign(new Event('storage'), { key: 'other', newValue: '1' }));
  assert.deepEqual(received, [{ type: 'ask' }]);
});

test('a new tab in another room leaves the sound where it is', (t) => {
  const { openTab, deliver } = openPhone(t);
  const kitchen = openTab();
  kitchen.sound();
  const garden = openTab({ roomId: 'k3' });
  assert.deepEqual([kitchen.state(), garden.state()], ['sounds', 'in house']);
  garden.rejoin();
  deliver();
  assert.deepEqual([kitchen.state(), garden.state()], ['in k3', 'free']);
  kitchen.rejoin();
  deliver();
  assert.deepEqual([kitchen.state(), garden.state()], ['sounds', 'in house']);
});

test('a tab offers to play once the tab in another room is closed', (t) => {
  const { openTab, wait } = openPhone(t);
  const garden = openTab({ roomId: 'k3' });
  garden.sound();
  const kitchen = openTab();
  garden.close();
  wait(4_000);
  assert.equal(kitchen.state(), 'in k3');
  wait(16_000);
  assert.equal(kitchen.state(), 'paused');
});

test('a tab in another room keeps the sound when it is reloaded', (t) => {
  const { openTab, wait } = openPhone(t);
  const garden = openTab({ roomId: 'k3' });
  garden.sound();
  const kitchen = openTab();
  garden.close();
  openTab({ roomId: 'k3' }).sound();
  wait(20_000);
  assert.equal(kitchen.state(), 'in k3');
});

test('a sounding tab that enters the room of a silent one silences it there', (t) => {
  const { openTab, deliver } = openPhone(t);
  const kitchen = openTab();
  const garden = openTab({ roomId: 'k3' });
  garden.sound();
  assert.equal(kitchen.state(), 'in k3');
  garden.store.update({ roomId: 'house' });
  garden.rejoin();
  deliver();
  assert.deepEqual([kitchen.state(), garden.state()], ['silent', 'sounds']);
});
