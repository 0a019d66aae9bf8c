// Loads and saves this phone's settings in localStorage. Where the browser refuses localStorage, the defaults apply and
// changes last until the page is closed.

import { AUTOMATIC, isLanguage } from './language/languages.js';

/** @typedef {import('./types.js').Settings} Settings */

const STORAGE_KEY = 'lockstep.settings';

/** @type {Settings} */
const DEFAULTS = { name: '', isRemoteControl: false, storageMb: 500, volume: 1, isMuted: false, isLevelling: true, language: AUTOMATIC };

export const MIN_STORAGE_MB = 50;
export const MAX_STORAGE_MB = 20_000;

/** @returns {Settings} */
export function loadSettings() {
  try {
    return parseSettings(JSON.parse(localStorage.getItem(STORAGE_KEY) ?? '{}'));
  } catch {
    return DEFAULTS;
  }
}

/** @param {(settings: Settings) => void} onChange called when another tab has changed the settings */
export function watchSettings(onChange) {
  addEventListener('storage', ({ key, newValue }) => {
    if (key === STORAGE_KEY && newValue !== null) onChange(loadSettings());
  });
}

/**
 * Reads settings from localStorage or from a migration. Missing and invalid values become the defaults.
 * @param {unknown} value
 * @returns {Settings}
 */
export function parseSettings(value) {
  // `remote` is the name of `isRemoteControl` in settings that earlier versions have stored.
  const { name, remote, isRemoteControl = remote, storageMb, volume, isMuted, isLevelling, language } = { .../** @type {Record<string, unknown>} */ (value) };
  return {
    name: typeof name === 'string' ? name : DEFAULTS.name,
    isRemoteControl: isRemoteControl === true,
    storageMb: clampStorage(Number(storageMb)),
    volume: typeof volume === 'number' && volume >= 0 && volume <= 1 ? volume : DEFAULTS.volume,
    isMuted: isMuted === true,
    isLevelling: isLevelling !== false,
    language: isLanguage(language) ? language : AUTOMATIC,
  };
}

/** @param {Settings} settings */
export function saveSettings(settings) {
  try {
    localStorage.setItem(STORAGE_KEY, JSON.stringify(settings));
  } catch {
    // localStorage is refused or full, as in some private windows.
  }
}

/**
 * Rounds a storage limit to whole megabytes between the minimum and the maximum; 0 and NaN become the default.
 * @param {number} storageMb
 */
export function clampStorage(storageMb) {
  const roundedMb = Math.round(storageMb) || DEFAULTS.storageMb;
  return Math.min(MAX_STORAGE_MB, Math.max(MIN_STORAGE_MB, roundedMb));
}
