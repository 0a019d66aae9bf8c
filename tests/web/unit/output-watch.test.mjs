// Another sound output in mid-song: the delay of each output is kept, and the user is told.

import assert from 'node:assert/strict';
import test from 'node:test';
import { createOutputDelays } from '../../../static/js/app/output-delays.js';
import { watchOutput } from '../../../static/js/app/output-watch.js';
import { findOutput, parseOutputs, withOutput } from '../../../static/js/sound/outputs.js';
import { createStore } from '../../../static/js/store.js';
import { replaceGlobals } from '../support/globals.mjs';
import { playing } from '../support/rooms.mjs';
import { virtualTime } from '../support/virtual-time.mjs';

/**
 * A phone in a room, whose output has a latency that a test can change.
 * @param {import('node:test').TestContext} t
 * @param {{label: string}[]} [devices] the outputs that the browser lists; without them it lists none
 * @param {Map<string, string>} [storage] of the page before it was reloaded
 */
function openPhone(t, devices, storage = new Map()) {
  const time = virtualTime(t);
  const mediaDevices = Object.assign(new EventTarget(), {
    enumerateDevices: async () => (devices ?? []).map(({ label }) => ({ kind: 'audiooutput', deviceId: label, label })),
  });
  replaceGlobals(t, {
    localStorage: { getItem: (/** @type {string} */ key) => storage.get(key) ?? null, setItem: (/** @type {string} */ key, /** @type {string} */ value) => storage.set(key, value) },
    navigator: devices ? { mediaDevices } : {},
  });
  const store = createStore(/** @type {any} */ ({
    view: 'room', memberId: 'm1', connection: 'open', settings: { isRemoteControl: false }, isPausedHere: false, isOtherTabSounding: false,
    isMeasuring: false, testSoundSchedule: null, trialDelayMs: null, hasOtherOutput: false, room: playing(0),
  }));
  const change = (/** @type {object} */ client) => {
    const room = store.get().room;
    store.update({ room: { ...room, clients: { ...room.clients, m1: { name: 'Ada', ...client } } } });
  };
  const phone = {
    time,
    store,
    storage,
    mediaDevices,
    change,
    latencyMs: 30,
    resets: 0,
    isServerRefusing: false,
    /** @type {string[]} */ messages: [],
    /** @type {number[]} */ sentDelays: [],
    setDelay: (/** @type {number} */ delayMs) => change({ delayMs }),
    delayMs: () => store.get().room.clients.m1.delayMs ?? 0,
    /** Uses an output of this latency until the phone has noticed it. @param {number} latencyMs */
    use: async (latencyMs) => {
      phone.latencyMs = latencyMs;
      await time.run(2_900);
    },
  };
  const useOutput = createOutputDelays({
    store,
    setDelays: async ({ m1: delayMs }) => {
      phone.sentDelays.push(delayMs);
      if (phone.isServerRefusing) return false;
      phone.setDelay(delayMs);
      return true;
    },
    showMessage: (message) => void phone.messages.push(message),
  });
  watchOutput({
    store,
    player: { outputLatencyMs: () => phone.latencyMs, resetOutputClock: () => void (phone.resets += 1) },
    useOutput,
  });
  return phone;
}

test('each output keeps its delay, found again by its latency', async (t) => {
  const phone = openPhone(t);
  await phone.time.run(2_900);
  await phone.use(220);
  assert.deepEqual(phone.messages, ['The sound output has changed. If this phone is late, set its delay in Settings.']);
  assert.ok(phone.resets > 0);
  phone.setDelay(140);
  await phone.use(35);
  assert.equal(phone.delayMs(), 0);
  await phone.use(215);
  assert.equal(phone.delayMs(), 140);
  assert.equal(phone.messages.at(-1), 'The sound output has changed. Its delay of 140 ms is used.');
  assert.deepEqual(phone.sentDelays, [0, 140]);
});

test('a wrong latency for a second is not another output', async (t) => {
  const phone = openPhone(t);
  await phone.time.run(2_900);
  phone.latencyMs = 300;
  await phone.time.run(1_200);
  phone.latencyMs = 40;
  await phone.time.run(5_000);
  assert.deepEqual([phone.messages, phone.resets], [[], 0]);
});

test('a device that appears is noticed at once, and known by its name', async (t) => {
  const devices = [{ label: 'Speaker' }];
  const phone = openPhone(t, devices);
  phone.setDelay(20);
  await phone.time.run(2_900);
  devices.unshift({ label: 'Headphones' });
  phone.mediaDevices.dispatchEvent(new Event('devicechange'));
  await phone.time.run(10);
  assert.deepEqual([phone.messages.length, phone.resets > 0], [1, true]);
  phone.setDelay(200);
  devices.shift();
  phone.mediaDevices.dispatchEvent(new Event('devicechange'));
  await phone.time.run(10);
  assert.equal(phone.delayMs(), 20);
});

test('a microphone that appears changes nothing', async (t) => {
  const phone = openPhone(t, [{ label: 'Speaker' }]);
  await phone.time.run(2_900);
  phone.mediaDevices.dispatchEvent(new Event('devicechange'));
  await phone.time.run(10);
  assert.deepEqual([phone.messages, phone.resets], [[], 0]);
});

test('the delay of an output survives a refused request', async (t) => {
  const phone = openPhone(t);
  await phone.use(30);
  await phone.use(220);
  phone.setDelay(140);
  await phone.use(30);
  phone.isServerRefusing = true;
  await phone.use(220);
  assert.equal(phone.delayMs(), 0);
  phone.isServerRefusing = false;
  await phone.use(30);
  await phone.use(220);
  assert.equal(phone.delayMs(), 140);
});

test('a delay that could not be sent is sent when the connection is open again', async (t) => {
  const phone = openPhone(t);
  await phone.use(30);
  await phone.use(220);
  phone.setDelay(140);
  await phone.use(30);
  phone.store.update({ connection: 'reconnecting' });
  await phone.use(220);
  assert.deepEqual(phone.sentDelays, [0]);
  phone.store.update({ connection: 'open' });
  await phone.time.run(10);
  assert.deepEqual([phone.delayMs(), phone.messages.at(-1)], [140, 'The sound output has changed. Its delay of 140 ms is used.']);
});

test('the delay of an output survives a reload before it could be sent', async (t) => {
  const phone = openPhone(t);
  await phone.use(30);
  await phone.use(220);
  phone.setDelay(140);
  await phone.use(30);
  phone.store.update({ connection: 'reconnecting' });
  await phone.use(220);
  const reloaded = openPhone(t, undefined, phone.storage);
  await reloaded.use(220);
  await reloaded.use(30);
  await reloaded.use(220);
  assert.equal(reloaded.delayMs(), 140);
});

test('a browser that begins to name its outputs has not changed them', async (t) => {
  const devices = [{ label: '' }];
  const phone = openPhone(t, devices);
  await phone.use(30);
  devices.splice(0, 1, { label: 'Speaker' }, { label: 'Headphones' });
  phone.mediaDevices.dispatchEvent(new Event('devicechange'));
  await phone.time.run(2_900);
  assert.deepEqual([phone.messages, phone.resets], [[], 0]);
  devices.shift();
  phone.mediaDevices.dispatchEvent(new Event('devicechange'));
  await phone.time.run(10);
  assert.equal(phone.messages.length, 1);
});

test('a wrong first latency is not another output', async (t) => {
  const phone = openPhone(t);
  phone.latencyMs = 300;
  await phone.time.run(1_200);
  await phone.use(30);
  await phone.use(30);
  assert.deepEqual(phone.messages, []);
});

for (const [situation, changes] of /** @type {[string, object][]} */ ([
  ['paused alone', { isPausedHere: true }],
  ['silent because of another tab', { isOtherTabSounding: true }],
  ['a remote control', { settings: { isRemoteControl: true } }],
  ['recording test sounds', { isMeasuring: true }],
  ['playing test sounds', { testSoundSchedule: { kind: 'tick', startsAtMs: 0, memberIds: ['m1'] } }],
])) {
  test(`a phone that is ${situation} reports no other output`, async (t) => {
    const devices = [{ label: 'Speaker' }];
    const phone = openPhone(t, devices);
    await phone.use(30);
    const before = phone.store.get();
    phone.store.update(changes);
    await phone.use(300);
    devices.unshift({ label: 'Headphones' });
    phone.mediaDevices.dispatchEvent(new Event('devicechange'));
    await phone.time.run(2_900);
    assert.deepEqual([phone.messages, phone.resets], [[], 0]);
    phone.store.update(before);
    await phone.time.run(2_900);
    assert.equal(phone.messages.length, 1);
  });
}

const compared = { by: /** @type {const} */ ('server'), with: ['m2'], at: '2026-11-30T00:00:00Z' };

test('a phone with another output was not compared, and tells the server', async (t) => {
  const phone = openPhone(t);
  phone.change({ compared });
  await phone.use(30);
  assert.deepEqual([phone.store.get().hasOtherOutput, phone.sentDelays], [false, []]);
  await phone.use(220);
  assert.deepEqual([phone.store.get().hasOtherOutput, phone.sentDelays], [true, [0]]);
  phone.change({ compared: { ...compared, at: '2026-11-30T00:00:01Z' } });
  assert.equal(phone.store.get().hasOtherOutput, false);
  await phone.use(30);
  assert.equal(phone.store.get().hasOtherOutput, true);
});

test('a comparison holds for the output in use then, also after a reload', async (t) => {
  const phone = openPhone(t);
  phone.change({ compared });
  await phone.use(30);
  const reloaded = openPhone(t, undefined, phone.storage);
  reloaded.change({ compared });
  await reloaded.use(220);
  assert.deepEqual([reloaded.store.get().hasOtherOutput, reloaded.sentDelays], [true, [0]]);
});

test('few outputs are remembered, and damaged ones are dropped', () => {
  let outputs = parseOutputs([{ label: 'x' }, null, { label: '', latencyMs: 5, delayMs: 7 }]);
  assert.deepEqual(outputs, [{ label: '', latencyMs: 5, delayMs: 7 }]);
  for (let i = 1; i <= 20; i += 1) outputs = withOutput(outputs, { label: `output ${i}`, latencyMs: 100, delayMs: i });
  assert.equal(outputs.length, 8);
  assert.equal(findOutput(outputs, { label: 'output 20', latencyMs: 400 })?.delayMs, 20);
});
