// The store: the order of notifications, and waiting for a condition.

import assert from 'node:assert/strict';
import test from 'node:test';
import { createStore } from '../../../static/js/store.js';

const createTestStore = () => createStore(/** @type {any} */ ({ step: 0 }));

/** A subscriber that records each notification as `before→now`. */
function recorder() {
  /** @type {string[]} */
  const changes = [];
  const subscriber = (/** @type {any} */ state, /** @type {any} */ before) => changes.push(`${before.step}→${state.step}`);
  return { changes, subscriber };
}

test('a nested update reaches all subscribers in order', () => {
  const store = createTestStore();
  const first = recorder();
  const last = recorder();
  store.subscribe(first.subscriber);
  store.subscribe(({ step }) => {
    if (step === 1) store.update({ step: 2 });
  });
  store.subscribe(last.subscriber);
  store.update({ step: 1 });
  assert.deepEqual(first.changes, ['0→1', '1→2']);
  assert.deepEqual(last.changes, ['0→1', '1→2']);
});

test('a nested update changes the state at once', () => {
  const store = createTestStore();
  store.subscribe(({ step }) => {
    if (step !== 1) return;
    store.update({ step: 2 });
    assert.equal(store.get().step, 2);
  });
  store.update({ step: 1 });
});

test('a subscriber added during a notification receives later updates only', () => {
  const store = createTestStore();
  const addedLater = recorder();
  store.subscribe(({ step }) => {
    if (step !== 1) return;
    store.update({ step: 2 });
    store.subscribe(addedLater.subscriber);
    store.update({ step: 3 });
  });
  store.update({ step: 1 });
  assert.deepEqual(addedLater.changes, ['2→3']);
});

test('the error of a subscriber is thrown after the others were notified', () => {
  const store = createTestStore();
  const last = recorder();
  store.subscribe(({ step }) => {
    if (step === 1) throw new Error('broken subscriber');
  });
  store.subscribe(last.subscriber);
  assert.throws(() => store.update({ step: 1 }), /broken subscriber/);
  store.update({ step: 2 });
  assert.deepEqual(last.changes, ['0→1', '1→2']);
});

test('waitFor resolves when its condition holds, or at the timeout', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const store = createTestStore();
  const isThree = (/** @type {any} */ { step }) => step === 3;
  const met = store.waitFor(isThree, 1_000);
  const missed = store.waitFor(({ step }) => step === 4, 1_000);
  store.update({ step: 3 });
  t.mock.timers.tick(1_000);
  assert.deepEqual(await Promise.all([met, missed]), [true, false]);
  assert.equal(await store.waitFor(isThree, 1_000), true);
});
