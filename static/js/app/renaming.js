// Renames this phone in the room, and saves the name, which the Join view fills in the next time.

import { rename } from '../net/api.js';

/**
 * @param {object} options
 * @param {(request: Promise<void>) => Promise<boolean>} options.attempt as `createAttempt` returns it
 * @param {(change: {name: string}) => void} options.changeSettings
 * @returns {(name: string) => Promise<void>}
 */
export function createRenaming({ attempt, changeSettings }) {
  return async (name) => {
    if (await attempt(rename(name))) changeSettings({ name });
  };
}
