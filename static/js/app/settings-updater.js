// Changes this phone's settings in the store and in localStorage, takes over changes of other tabs, and reports changes of the
// role and the storage limit.

import { saveSettings, watchSettings } from '../settings.js';

/** @typedef {import('../types.js').Settings} Settings */

/**
 * `changeSettings` changes what is saved. `overrideRole` makes this page a remote control or a listener without saving that;
 * `null` ends it.
 * @typedef {{changeSettings: (change: Partial<Settings>) => void, overrideRole: (isRemoteControl: boolean | null) => void}} SettingsUpdater
 */

/**
 * @param {object} options
 * @param {import('../store.js').Store} options.store
 * @param {() => void} options.onRoleChange called when this phone becomes a listener or a remote control
 * @param {() => void} options.onStorageLimit called when the storage limit is set, even to the same value
 * @returns {SettingsUpdater}
 */
export function createSettingsUpdater({ store, onRoleChange, onStorageLimit }) {
  let saved = store.get().settings;
  /** @type {boolean | null} */
  let roleOverride = null;

  function apply() {
    const previousSettings = store.get().settings;
    const settings = { ...saved, isRemoteControl: roleOverride ?? saved.isRemoteControl };
    store.update({ settings });
    if (settings.isRemoteControl !== previousSettings.isRemoteControl) onRoleChange();
  }

  // The tab that has changed the storage limit has also trimmed the storage, which all tabs share.
  watchSettings((settings) => {
    saved = settings;
    apply();
  });

  return {
    changeSettings: (change) => {
      saved = { ...saved, ...change };
      saveSettings(saved);
      apply();
      if (change.storageMb !== undefined) onStorageLimit();
    },
    overrideRole: (isRemoteControl) => {
      roleOverride = isRemoteControl;
      apply();
    },
  };
}
