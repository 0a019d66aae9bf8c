// PURE: the tracks that follow the current one, and who picked them.

import { picksOf } from './picks.js';
import { currentTrackId, queueFromCurrent } from './selectors.js';

/** @typedef {import('../types.js').MemberId} MemberId */
/** @typedef {import('../types.js').Snapshot} Snapshot */
/** @typedef {import('../types.js').TrackId} TrackId */

/**
 * @param {Snapshot} room
 * @param {number} count at most this many
 * @returns {{trackId: TrackId, by: MemberId | null}[]}
 */
export function upcomingTracks(room, count) {
  const pickedBy = new Map(picksOf(room).map(({ trackId, by }) => [trackId, by]));
  const following = queueFromCurrent(room).slice(1, 1 + count);
  return following.map((trackId) => ({ trackId, by: memberOf(room, pickedBy.get(trackId)) }));
}

/** Who picked the current track, if that member is still paired. @param {Snapshot} room */
export function currentPicker(room) {
  return currentTrackId(room) === null ? null : memberOf(room, room.pickedBy);
}

/** @param {Snapshot} room @param {MemberId | null | undefined} memberId @returns {MemberId | null} */
function memberOf(room, memberId) {
  return memberId && memberId in room.clients ? memberId : null;
}
