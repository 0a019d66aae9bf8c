// Tells the server now and then how this phone is in step: for the lists of the others, and so that starts lie
// far enough ahead for it.

import { reportSync } from './api.js';
import { after } from './timer.js';

/** @typedef {import('./types.js').SyncReport} SyncReport */

/** At most so often, */
const EVERY_MS = 5_000;

/** and only if something has changed by so much, or is nothing by now, or was. */
const STEP_MS = 2;
const NEEDS_STEP_MS = 20;

/**
 * Whether `now` is news to a server that was told `told`.
 * @param {SyncReport | null} told
 * @param {SyncReport} now
 */
export function isNews(told, now) {
  if (told === null || told.waitsForTap !== now.waitsForTap) return true;
  if ((told.offMs === null) !== (now.offMs === null)) return true;
  return (
    Math.abs((told.offMs ?? 0) - (now.offMs ?? 0)) >= STEP_MS ||
    Math.abs(told.needsMs - now.needsMs) >= NEEDS_STEP_MS
  );
}

/**
 * @param {object} options
 * @param {import('./store.js').Store} options.store
 * @param {() => SyncReport | null} options.report `null` while there is nothing to say
 */
export function createReporter({ store, report }) {
  /** @type {SyncReport | null} */
  let told = null;
  /** @type {(() => void) | null} */
  let waiting = null;

  async function look() {
    const { connection, settings } = store.get();
    if (connection !== 'open' || settings.remote || waiting) return;
    const now = report();
    if (!now || !isNews(told, now)) return;
    told = now;
    waiting = after(EVERY_MS, () => {
      waiting = null;
      look();
    });
    // It is told again when it has changed again, or after the connection has.
    await reportSync(now).catch(() => {});
  }

  store.subscribe((state, before) => {
    if (state.connection !== before.connection) told = null;
    // That somebody has to tap is not to be waited for.
    if (state.sound.locked !== before.sound.locked) {
      waiting?.();
      waiting = null;
    }
    look();
  });
}
