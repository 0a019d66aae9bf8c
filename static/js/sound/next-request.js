// Asks the server to advance to the next track, once for each anchor of the room, and again after a failure.

import { sendCommand } from '../net/api.js';
import { catchUp } from '../net/commands.js';
import { ApiError } from '../net/http.js';
import { currentTrackId } from '../room/selectors.js';
import { after } from '../timer.js';
import { anchorKey } from './goal.js';

const RETRY_INTERVAL_MS = 1_000;

/** The status of a command that makes no sense in this state. */
const UNPROCESSABLE = 422;

/** @typedef {import('../types.js').TrackId} TrackId */

/** @param {import('../store.js').Store} store */
export function createNextRequest(store) {
  /** The key of the anchor for which `next` was sent. */
  /** @type {string | null} */
  let requestedAnchorKey = null;

  /** Sends the end of the track to the server; gives up when the room's anchor changes or the room is paused. */
  return async function requestNext() {
    const { room, roomId } = store.get();
    const trackId = room && currentTrackId(room);
    if (!trackId || room.playState.mode !== 'playing' || requestedAnchorKey === anchorKey(room)) return;
    const endedAnchorKey = anchorKey(room);
    requestedAnchorKey = endedAnchorKey;
    try {
      for (;;) {
        const latestRoom = store.get().room;
        if (!latestRoom || store.get().roomId !== roomId || anchorKey(latestRoom) !== endedAnchorKey || latestRoom.playState.mode !== 'playing') return;
        const result = await sendEnd(trackId, latestRoom.eventCount);
        if (result.accepted) return;
        await catchUp(store, result.eventCount, roomId);
      }
    } catch {
      // Permits a later call to try again. If no phone reaches the server, the server advances by itself.
      after(RETRY_INTERVAL_MS, () => {
        if (requestedAnchorKey === endedAnchorKey) requestedAnchorKey = null;
      });
    }
  };
}

/**
 * Reports the end of the track. The server refuses that long before the end that the index states. A file may hold less than its
 * header states: this phone then advances as if somebody had pressed the button, because none of the phones has more to play.
 * @param {TrackId} trackId
 * @param {number} eventCount
 */
async function sendEnd(trackId, eventCount) {
  try {
    return await sendCommand({ name: 'next', ended: trackId }, eventCount);
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== UNPROCESSABLE) throw error;
    return sendCommand({ name: 'next' }, eventCount);
  }
}
