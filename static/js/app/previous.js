// Previous, as players do it: in the first seconds of a track the track before it, later the beginning of this one.

import { offsetAt } from '../sound/clock.js';
import { roomPositionSec } from '../sound/goal.js';
import { shownRoom } from '../room/optimistic.js';
import { currentTrackId } from '../room/selectors.js';

/** From this position on, Previous goes to the beginning of the current track. */
const RESTART_FROM_SEC = 5;

/**
 * @param {import('../store.js').Store} store
 * @param {(makeCommand: (room: import('../types.js').Room) => import('../types.js').Command | null) => unknown} sendCommand
 * @returns {() => void}
 */
export function createPrevious(store, sendCommand) {
  return () => {
    const state = store.get();
    const pressedRoom = shownRoom(state);
    const trackId = pressedRoom && currentTrackId(pressedRoom);
    if (!pressedRoom || trackId === null) return;
    const nowMs = performance.now();
    const positionSec = roomPositionSec(pressedRoom, offsetAt(state.clock, nowMs), nowMs, state.index.get(trackId)?.duration ?? 0);
    const command = positionSec < RESTART_FROM_SEC ? /** @type {const} */ ({ name: 'previous' }) : /** @type {const} */ ({ name: 'seek', positionSec: 0 });
    sendCommand((room) => (currentTrackId(room) === trackId ? command : null));
  };
}
