// The trial of a speaker delay while its slider moves.

import assert from 'node:assert/strict';
import test from 'node:test';
import { comparisonByEar, createSpeakerDelay } from '../../../static/js/app/speaker-delay.js';
import { createStore } from '../../../static/js/store.js';
import { room } from '../support/rooms.mjs';

const roomWithDelay = (delayMs) => room({ clients: { m1: { name: 'Ada', delayMs } } });

function createPhone(memberId = 'm1') {
  const store = createStore({ memberId, room: roomWithDelay(0), trialDelayMs: null });
  const requests = [];
  const setDelays = (delays) => new Promise((resolve) => requests.push({ delays, respond: resolve }));
  return { store, requests, delay: createSpeakerDelay({ store, setDelays }) };
}

test('a trial ends when the room has the tried delay', () => {
  const { store, delay } = createPhone();
  delay.tryDelay(40);
  store.update({ room: roomWithDelay(20) });
  assert.equal(store.get().trialDelayMs, 40);
  store.update({ room: roomWithDelay(40) });
  assert.equal(store.get().trialDelayMs, null);
});

test('a delay stays on trial until the server has responded', async () => {
  const { store, requests, delay } = createPhone();
  delay.tryDelay(40);
  const settingDelay = delay.setDelay(40);
  assert.deepEqual(requests.map(({ delays }) => delays), [{ m1: 40 }]);
  assert.equal(store.get().trialDelayMs, 40);
  requests[0].respond(false);
  await settingDelay;
  assert.equal(store.get().trialDelayMs, null);
});

test('an accepted delay that the server has rounded ends its trial', async () => {
  const { store, requests, delay } = createPhone();
  delay.tryDelay(40.04);
  const settingDelay = delay.setDelay(40.04);
  store.update({ room: roomWithDelay(40) });
  requests[0].respond(true);
  await settingDelay;
  assert.equal(store.get().trialDelayMs, null);
});

test('the response to an earlier delay does not end a later trial', async () => {
  const { store, requests, delay } = createPhone();
  delay.tryDelay(40);
  const settingDelay = delay.setDelay(40);
  delay.tryDelay(50);
  requests[0].respond(true);
  await settingDelay;
  assert.equal(store.get().trialDelayMs, 50);
});

test('leaving the room ends the trial', () => {
  const { store, delay } = createPhone();
  delay.tryDelay(40);
  store.update({ memberId: null, room: null });
  assert.equal(store.get().trialDelayMs, null);
});

test('a phone that is not a member sends no delay', async () => {
  const { requests, delay } = createPhone(null);
  await delay.setDelay(40);
  assert.deepEqual(requests, []);
});

test('a delay that is set while all phones tick was compared by ear', () => {
  const listener = { role: 'listener', sync: { waitsForTap: false } };
  const listeners = { m1: listener, m2: listener, m3: { role: 'listener', sync: { waitsForTap: true } }, m4: { role: 'remote' } };
  const ticking = { room: room({ live: { listeners } }), memberId: 'm1', testSoundSchedule: { kind: 'tick', memberIds: ['m1', 'm2', 'm3'] } };
  assert.deepEqual(comparisonByEar(ticking), { by: 'ear', memberIds: ['m1', 'm2'] });
  assert.equal(comparisonByEar({ ...ticking, testSoundSchedule: null }), undefined);
  assert.equal(comparisonByEar({ ...ticking, testSoundSchedule: { kind: 'chirp', memberIds: ['m1', 'm2'] } }), undefined);
  assert.equal(comparisonByEar({ ...ticking, testSoundSchedule: { kind: 'tick', memberIds: ['m1', 'm3'] } }), undefined);
  assert.equal(comparisonByEar({ ...ticking, memberId: 'm4' }), undefined);
});

test('after a comparison by ear, both of two phones have a record', () => {
  const listener = { role: 'listener', sync: { waitsForTap: false } };
  const clients = { m1: { name: 'Ada', delayMs: 0 }, m2: { name: 'Ben', delayMs: 12.5 }, m3: { name: 'Cleo' } };
  const sentWith = (/** @type {string[]} */ memberIds) => {
    const listeners = Object.fromEntries(memberIds.map((id) => [id, listener]));
    const store = createStore(/** @type {any} */ ({ memberId: 'm1', room: room({ clients, live: { listeners } }), trialDelayMs: null, testSoundSchedule: { kind: 'tick', memberIds } }));
    /** @type {unknown[]} */
    const requests = [];
    createSpeakerDelay({ store, setDelays: async (...request) => requests.push(request) > 0 }).setDelay(40);
    return requests;
  };
  assert.deepEqual(sentWith(['m1', 'm2']), [[{ m1: 40, m2: 12.5 }, { by: 'ear', memberIds: ['m1', 'm2'] }]]);
  assert.deepEqual(sentWith(['m1', 'm2', 'm3']), [[{ m1: 40 }, { by: 'ear', memberIds: ['m1', 'm2', 'm3'] }]]);
});
