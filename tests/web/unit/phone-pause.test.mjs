// The pause of this phone alone: how it begins, ends and survives a reload.

import assert from 'node:assert/strict';
import test from 'node:test';
import { createPhonePause, wasPausedHere } from '../../../static/js/app/phone-pause.js';
import { createSoundUnlock } from '../../../static/js/app/sound-unlock.js';
import { createStore } from '../../../static/js/store.js';
import { replaceGlobals } from '../support/globals.mjs';

/** @param {import('node:test').TestContext} t */
function openPhone(t) {
  const stored = new Map();
  const document = new EventTarget();
  replaceGlobals(t, {
    document,
    sessionStorage: { getItem: (key) => stored.get(key) ?? null, setItem: (key, value) => stored.set(key, value), removeItem: (key) => stored.delete(key) },
  });
  let unlockCount = 0;
  const store = createStore(/** @type {any} */ ({ view: 'room', settings: { isRemoteControl: false }, isPausedHere: false, isScreenOpen: false }));
  const unlockSound = createSoundUnlock({ store, isSoundAllowed: () => false, unlock: () => (unlockCount += 1) });
  return { store, ...createPhonePause({ store, claimSound: () => {}, unlockSound }), tap: () => document.dispatchEvent(new Event('click')), unlockCount: () => unlockCount };
}

test('the pause of a phone outlasts a reload, and its end too', (t) => {
  const phone = openPhone(t);
  phone.pauseHere();
  assert.equal(wasPausedHere(), true);
  phone.rejoin();
  assert.equal(wasPausedHere(), false);
});

test('without sessionStorage a phone starts unpaused', (t) => {
  replaceGlobals(t, { sessionStorage: undefined });
  assert.equal(wasPausedHere(), false);
});

test('only rejoining unlocks the sound of a paused phone, not any tap', (t) => {
  const phone = openPhone(t);
  phone.pauseHere();
  phone.tap();
  assert.equal(phone.unlockCount(), 0);
  phone.rejoin();
  assert.deepEqual([phone.store.get().isPausedHere, phone.unlockCount()], [false, 1]);
});

for (const [name, change] of [['leaving the room', { view: 'join' }], ['becoming a remote control', { settings: { isRemoteControl: true } }]]) {
  test(`${name} ends the pause of this phone`, (t) => {
    const phone = openPhone(t);
    phone.pauseHere();
    phone.store.update(change);
    assert.deepEqual([phone.store.get().isPausedHere, wasPausedHere()], [false, false]);
  });
}

test('a phone that alone is paused stays so behind the big screen', (t) => {
  const phone = openPhone(t);
  phone.pauseHere();
  phone.store.update({ isScreenOpen: true });
  phone.store.update({ settings: { isRemoteControl: true } });
  phone.store.update({ settings: { isRemoteControl: false } });
  phone.store.update({ isScreenOpen: false });
  assert.deepEqual([phone.store.get().isPausedHere, wasPausedHere()], [true, true]);
});
