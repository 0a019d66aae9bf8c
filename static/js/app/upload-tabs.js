// Asks the other tabs of this browser which uploads they send, because all tabs share the stored uploads.

import { openTabChannel } from './tab-channel.js';
import { after } from '../timer.js';

const CHANNEL_NAME = 'lockstep.uploads';

/** How long the other tabs have to answer. */
const ANSWER_TIMEOUT_MS = 300;

/**
 * @param {() => string[]} ownKeys the keys of this tab's uploads
 * @returns {(keys: string[]) => Promise<string[]>} returns those keys that no other tab uploads
 */
export function createUploadTabs(ownKeys) {
  /** @type {Set<string>} */
  const otherKeys = new Set();
  const send = openTabChannel(({ asked, keys = [] }) => {
    for (const key of keys) otherKeys.add(key);
    if (asked) send({ keys: ownKeys(), atMs: performance.now() });
  }, CHANNEL_NAME);
  return (keys) => {
    send({ asked: true, atMs: performance.now() });
    return new Promise((resolve) => void after(ANSWER_TIMEOUT_MS, () => resolve(keys.filter((key) => !otherKeys.has(key)))));
  };
}
