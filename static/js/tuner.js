// Ticks on this phone while anybody tunes: on each whole second of the server's clock, so on all phones at once.

import { offsetAt } from './clock.js';
import { ownDelay } from './state.js';
import { every } from './timer.js';

/** Whoever forgets to stop them is helped after so long. */
const TICKS_MS = 60_000;

const EVERY_MS = 1_000;
const LOOK_EVERY_MS = 200;

/** So far ahead a tick is laid down, which is also how long a new delay takes to be heard at most. */
const AHEAD_MS = 350;

/**
 * When the next tick is due, on the server's clock, or `null` if there is none.
 * @param {import('./types.js').Tuning | null} tuning
 * @param {number} serverMs
 */
export function nextTick(tuning, serverMs) {
  if (tuning?.kind !== 'tick' || serverMs > tuning.startsAtMs + TICKS_MS) return null;
  const since = Math.ceil((serverMs - tuning.startsAtMs) / EVERY_MS);
  return tuning.startsAtMs + Math.max(0, since) * EVERY_MS;
}

/**
 * @param {object} options
 * @param {import('./store.js').Store} options.store
 * @param {import('./player.js').Player} options.player
 */
export function createTuner({ store, player }) {
  let lastMs = -Infinity;

  function look() {
    const state = store.get();
    const nowMs = performance.now();
    const offsetMs = offsetAt(state.clock, nowMs);
    if (!state.tuning || offsetMs === null) return;
    // One that sounds earlier than the others is to be told of earlier.
    const fromMs = nowMs + offsetMs + Math.max(0, ownDelay(state));
    const tickMs = nextTick(state.tuning, fromMs);
    if (tickMs === null) return store.update({ tuning: null });
    if (state.settings.remote || tickMs <= lastMs || tickMs - fromMs > AHEAD_MS) return;
    lastMs = tickMs;
    player.tick(tickMs - offsetMs - ownDelay(state));
  }

  every(LOOK_EVERY_MS, look);
}
