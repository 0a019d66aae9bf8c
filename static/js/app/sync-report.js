// PURE: the report of this phone's sync measurements that is sent to the server.

import { deviceKind } from './device-kind.js';
import { isPausedAlone, waitsForTap } from '../room/own-silence.js';

/** @typedef {import('../types.js').AppState} AppState */
/** @typedef {import('../types.js').SyncReport} SyncReport */

/** Added to `needsMs`, because a busy page executes a start late. */
const START_RESERVE_MS = 25;

/**
 * @param {Pick<AppState, 'clock' | 'sound' | 'isPausedHere' | 'outputKind'>} state
 * @param {{syncErrorMs: number | null, latencyMs: number}} stats
 * @param {Pick<Navigator, 'userAgent' | 'maxTouchPoints'>} navigator
 * @returns {SyncReport | null} `null` before the first clock estimate
 */
export function syncReport(state, { syncErrorMs, latencyMs }, navigator) {
  const { clock } = state;
  if (!clock) return null;
  return {
    offMs: syncErrorMs, // The protocol's name of the sync error; not the offset of the clock.
    roundTripMs: clock.roundTripMs,
    latencyMs,
    needsMs: clock.slowRoundTripMs + latencyMs + START_RESERVE_MS,
    waitsForTap: waitsForTap(state),
    pausedAlone: isPausedAlone(state),
    kind: deviceKind(navigator, state.outputKind),
  };
}
