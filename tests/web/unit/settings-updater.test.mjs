// Changes of the settings, in this tab and in others of the same phone.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSettingsUpdater } from '../../../static/js/app/settings-updater.js';
import { loadSettings } from '../../../static/js/settings.js';
import { createStore } from '../../../static/js/store.js';
import { replaceGlobals } from '../support/globals.mjs';

/** Opens tabs that share localStorage and receive `storage` events of each other. */
function openTabs(t, count) {
  /** @type {Map<string, string>} */
  const stored = new Map();
  /** @type {((event: object) => void)[]} */
  const listeners = [];
  let active = 0;
  const notify = (/** @type {string} */ key, /** @type {string | null} */ newValue) =>
    listeners.forEach((listener, tab) => tab !== active && listener({ key, newValue }));
  replaceGlobals(t, {
    localStorage: {
      getItem: (/** @type {string} */ key) => stored.get(key) ?? null,
      setItem: (/** @type {string} */ key, /** @type {string} */ value) => {
        stored.set(key, value);
        notify(key, value);
      },
      removeItem: (/** @type {string} */ key) => {
        stored.delete(key);
        notify(key, null);
      },
    },
    addEventListener: (/** @type {string} */ name, /** @type {(event: object) => void} */ listener) => name === 'storage' && listeners.push(listener),
  });
  return Array.from({ length: count }, (_, tab) => {
    const store = createStore(/** @type {any} */ ({ settings: loadSettings() }));
    const calls = /** @type {string[]} */ ([]);
    const { changeSettings: change, overrideRole } = createSettingsUpdater({ store, onRoleChange: () => calls.push('role'), onStorageLimit: () => calls.push('storage') });
    return {
      calls,
      settings: () => store.get().settings,
      overrideRole,
      change: (/** @type {object} */ changed) => {
        active = tab;
        change(changed);
      },
    };
  });
}

test('a volume that one tab sets applies in the other tab', (t) => {
  const [first, second] = openTabs(t, 2);
  first.change({ volume: 0.5 });
  assert.equal(second.settings().volume, 0.5);
  second.change({ isMuted: true });
  assert.deepEqual([first.settings().volume, first.settings().isMuted], [0.5, true]);
});

test('a role that one tab sets is announced by each tab', (t) => {
  const [first, second] = openTabs(t, 2);
  first.change({ isRemoteControl: true });
  assert.deepEqual([first.calls, second.calls], [['role'], ['role']]);
  first.change({ storageMb: 900 });
  assert.deepEqual([first.calls, second.calls], [['role', 'storage'], ['role']]);
  assert.equal(second.settings().storageMb, 900);
});

test('other stored values, and settings that were deleted, change nothing', (t) => {
  const [first, second] = openTabs(t, 2);
  first.change({ volume: 0.5 });
  localStorage.setItem('lockstep.tabs', '{}');
  localStorage.removeItem('lockstep.settings');
  assert.equal(second.settings().volume, 0.5);
});

test('an overridden role is neither saved nor lost when settings change', (t) => {
  const [first, second] = openTabs(t, 2);
  first.overrideRole(true);
  first.change({ volume: 0.5 });
  second.change({ isMuted: true });
  assert.deepEqual([first.settings().isRemoteControl, second.settings().isRemoteControl], [true, false]);
  assert.deepEqual([first.settings().volume, first.settings().isMuted], [0.5, true]);
  first.overrideRole(null);
  assert.equal(first.settings().isRemoteControl, false);
  assert.deepEqual([first.calls, second.calls], [['role', 'role'], []]);
});
