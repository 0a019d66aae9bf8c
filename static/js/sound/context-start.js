// Starts an AudioContext that is to replace another one.

import { after } from '../timer.js';

/** A context that does not run after this time requires a gesture. */
const START_TIMEOUT_MS = 1_500;

/**
 * Resumes a context, and resolves to whether it runs within `START_TIMEOUT_MS`.
 * @param {AudioContext} context
 * @returns {Promise<boolean>}
 */
export function startsInTime(context) {
  return new Promise((resolve) => {
    const cancelTimeout = after(START_TIMEOUT_MS, () => resolve(false));
    context.resume().then(() => {
      cancelTimeout();
      resolve(context.state === 'running');
    }, () => {});
  });
}
