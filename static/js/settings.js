// What is kept on this phone only, across reloads; a browser that keeps nothing is none the worse.

/** @typedef {import('./types.js').Settings} Settings */

const KEY = 'lockstep.settings';

/** @type {Settings} */
const DEFAULTS = { name: '', remote: false, storageMb: 500 };

export const LEAST_STORAGE_MB = 50;
export const MOST_STORAGE_MB = 20_000;

/** @returns {Settings} */
export function loadSettings() {
  try {
    const kept = { ...DEFAULTS, ...JSON.parse(localStorage.getItem(KEY) ?? '{}') };
    return {
      name: String(kept.name),
      remote: kept.remote === true,
      storageMb: clampStorage(Number(kept.storageMb)),
    };
  } catch {
    return DEFAULTS;
  }
}

/** @param {Settings} settings */
export function saveSettings(settings) {
  try {
    localStorage.setItem(KEY, JSON.stringify(settings));
  } catch {
    // A private window: the settings hold as long as the page.
  }
}

/** @param {number} storageMb */
export function clampStorage(storageMb) {
  const whole = Math.round(storageMb) || DEFAULTS.storageMb;
  return Math.min(MOST_STORAGE_MB, Math.max(LEAST_STORAGE_MB, whole));
}
