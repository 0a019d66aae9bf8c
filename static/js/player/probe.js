// Whether this device can sound at all: without any output, some browsers give up whatever they are to play, as if
// its bytes were at fault. Silence that they give up as well tells the one from the other.

import { after } from '../timer.js';

/** A browser that says nothing for so long is taken to sound. */
const PATIENCE_MS = 2_000;

/**
 * @param {string} url of a short silence
 * @returns {Promise<boolean>}
 */
export function canSound(url) {
  const audio = new Audio(url);
  return new Promise((resolve) => {
    audio.addEventListener('ended', () => resolve(true));
    audio.addEventListener('error', () => resolve(false));
    after(PATIENCE_MS, () => resolve(true));
    // A refusal, for want of a touch, says nothing about outputs.
    audio.play().catch(() => audio.error === null && resolve(true));
  });
}
