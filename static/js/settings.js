// What is kept on this phone only, across reloads; a browser that keeps nothing is none the worse.

/** @typedef {import('./types.js').Settings} Settings */

const KEY = 'lockstep.settings';

/** @type {Settings} */
const DEFAULTS = { name: '', remote: false, delayMs: 0 };

export const MOST_DELAY_MS = 500;

/** @returns {Settings} */
export function loadSettings() {
  try {
    const { name, remote, delayMs } = { ...DEFAULTS, ...JSON.parse(localStorage.getItem(KEY) ?? '{}') };
    return { name: String(name), remote: remote === true, delayMs: clampDelay(Number(delayMs)) };
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

/** @param {number} delayMs */
export function clampDelay(delayMs) {
  const whole = Math.round(delayMs) || 0;
  return Math.min(MOST_DELAY_MS, Math.max(-MOST_DELAY_MS, whole));
}
