// PURE: computes the goal, that is what this phone should play and when, from the room, the clock offset and the
// predicted start. Positions are seconds within a track. Times are milliseconds of this page's `performance.now()`,
// except for `anchorAtMs` of the room and of a segue, which is on the server's clock.

import { withEarlierArrival } from '../room/reducer.js';
import { currentTrackId } from '../room/selectors.js';
import { contradicts } from '../tracks/durations.js';

/** @typedef {import('../types.js').ClockEstimate} ClockEstimate */
/** @typedef {import('../types.js').Room} Room */
/** @typedef {import('../types.js').TrackId} TrackId */

/**
 * A track change that this phone makes before the server confirms the change: the next track starts at the end of the
 * current one, because the server has announced the change (a segue) or because the server is unreachable.
 * @typedef {object} PredictedStart
 * @property {TrackId} trackId
 * @property {TrackId} previousTrackId The room's current track at the time of the prediction.
 * @property {string} anchorKey The key of the room's anchor at that time. A different anchor invalidates the
 *   prediction.
 * @property {number} atMs When `trackId` is at position 0.
 */

/**
 * What this phone should do. `silent`: this phone has nothing to play. `hold`: be silent at a position.
 * `unchanged`: the server's clock is not known yet, so the player continues as before. `mayBeBrief`: the hold is for a
 * barrier, which may be released within milliseconds. `isPredicted`: the goal comes from a predicted start, so a slightly
 * late start plays from 0 to avoid skipping the first notes. `key` identifies the anchor and the speaker delay, or the
 * predicted track.
 * @typedef {{kind: 'unchanged'}
 *   | {kind: 'silent'}
 *   | {kind: 'hold', trackId: TrackId, positionSec: number, mayBeBrief: boolean}
 *   | {kind: 'play', trackId: TrackId, positionSec: number, atMs: number, key: string, isPredicted: boolean}} Goal
 */

/** Marks the goal key of a predicted start. */
export const PREDICTED_KEY_SUFFIX = ' predicted';

/** A track with less than this remaining counts as over and is not started. */
const END_MARGIN_SEC = 0.25;

/** Identifies the room's anchor by its track, position and time. @param {Room} room */
export function anchorKey(room) {
  const anchorTime = room.live.anchorAtMs ?? `event ${room.anchorArrivedMs}`;
  return `${currentTrackId(room)}@${room.playState.anchorPositionSec}@${anchorTime}`;
}

/**
 * When the room's track is at its anchor position, on this page's clock; `null` while paused or unknown.
 * @param {Room} room
 * @param {number | null} offsetMs server's clock minus this page's clock
 */
export function anchorTimeMs(room, offsetMs) {
  if (room.playState.mode !== 'playing' || room.barrier) return null;
  if (room.live.anchorAtMs === null) return room.anchorArrivedMs;
  return offsetMs === null ? null : room.live.anchorAtMs - offsetMs;
}

/**
 * The position at `nowMs` of a track that is at `positionSec` at `atMs` and plays at normal speed.
 * @param {{positionSec: number, atMs: number}} anchor
 * @param {number} nowMs
 */
export function positionAt(anchor, nowMs) {
  return anchor.positionSec + (nowMs - anchor.atMs) / 1000;
}

/**
 * The room's position in its track for display: never before the anchor, never past the end.
 * @param {Room} room
 * @param {number | null} offsetMs
 * @param {number} nowMs
 * @param {number} durationSec 0 if unknown
 */
export function roomPositionSec(room, offsetMs, nowMs, durationSec) {
  const positionSec = room.playState.anchorPositionSec;
  const atMs = anchorTimeMs(room, offsetMs);
  const currentSec = atMs === null ? positionSec : positionAt({ positionSec, atMs }, Math.max(nowMs, atMs));
  return Math.min(currentSec, durationSec || Infinity);
}

/**
 * Whether the room still has the track and anchor for which the start was predicted.
 * @param {PredictedStart} predictedStart
 * @param {Room} room
 */
export function isPredictionValid(predictedStart, room) {
  return currentTrackId(room) === predictedStart.previousTrackId && anchorKey(room) === predictedStart.anchorKey;
}

/**
 * @param {object} inputs
 * @param {Room} inputs.room
 * @param {number | null} inputs.offsetMs
 * @param {boolean} inputs.isRemoteControl
 * @param {(trackId: TrackId) => boolean} inputs.isPlayable whether this phone has stored the track and can play it
 * @param {PredictedStart | null} inputs.predictedStart
 * @param {number} inputs.delayMs this phone's speaker delay
 * @returns {Goal}
 */
export function goalFor({ room, offsetMs, isRemoteControl, isPlayable, predictedStart, delayMs }) {
  const trackId = currentTrackId(room);
  if (isRemoteControl || trackId === null) return { kind: 'silent' };
  if (predictedStart && isPredictionValid(predictedStart, room)) {
    return {
      kind: 'play',
      trackId: predictedStart.trackId,
      positionSec: 0,
      atMs: predictedStart.atMs - delayMs,
      key: predictedStart.trackId + PREDICTED_KEY_SUFFIX,
      isPredicted: true,
    };
  }
  if (!isPlayable(trackId)) return { kind: 'silent' };
  const positionSec = room.playState.anchorPositionSec;
  if (room.barrier) return { kind: 'hold', trackId, positionSec, mayBeBrief: true };
  if (room.playState.mode === 'paused') return { kind: 'hold', trackId, positionSec, mayBeBrief: false };
  const atMs = anchorTimeMs(room, offsetMs);
  if (atMs === null) return { kind: 'unchanged' };
  return {
    kind: 'play',
    trackId,
    positionSec,
    atMs: atMs - delayMs,
    key: `${anchorKey(room)} ${delayMs}`,
    isPredicted: false,
  };
}

/**
 * Shifts the room, the clock or the predicted start so that the position that is heard now, which is `aheadMs` ahead
 * of the goal, has no sync error. While the machine sleeps, the page's clock may advance without the sound, or the
 * server's clock without the page's. Until the server responds again, the sound is the most reliable reference.
 * @template {{room: Room, clock: ClockEstimate | null, predictedStart: PredictedStart | null}} Timeline
 * @param {Timeline} timeline
 * @param {number} aheadMs
 * @returns {Pick<Timeline, 'room' | 'clock' | 'predictedStart'>}
 */
export function realignToSound({ room, clock, predictedStart }, aheadMs) {
  if (predictedStart) return { room, clock, predictedStart: { ...predictedStart, atMs: predictedStart.atMs - aheadMs } };
  if (room.live.anchorAtMs === null) {
    return { room: withEarlierArrival(room, aheadMs), clock, predictedStart };
  }
  return { room, clock: clock && { ...clock, offsetMs: clock.offsetMs + aheadMs }, predictedStart };
}

/**
 * Whether an announced segue begins where the goal's track ends on this phone. The length in the server's index may differ
 * from that of the track as decoded on this phone. The segue would then cut the music, or follow after silence.
 * @param {import('../types.js').Segue} segue
 * @param {Goal} goal
 * @param {{durationSec: number, offsetMs: number, delayMs: number}} inputs as those of `nextStart`
 */
export function isSegueAtEnd(segue, goal, { durationSec, offsetMs, delayMs }) {
  if (goal.kind !== 'play' || durationSec === 0) return true;
  const segueAtMs = segue.anchorAtMs - offsetMs - delayMs;
  return !contradicts(positionAt(goal, segueAtMs), durationSec);
}

/**
 * The track that follows the current one, and its start time: the announced segue or, while the server is unreachable,
 * the next track that is stored on this phone, at the end of the current one. `null` if unknown.
 * @param {object} inputs
 * @param {Extract<Goal, {kind: 'play'}>} inputs.goal
 * @param {number} inputs.durationSec of the goal's track; 0 if unknown
 * @param {import('../types.js').Segue | null} inputs.segue
 * @param {number | null} inputs.offsetMs
 * @param {number} inputs.delayMs
 * @param {TrackId | null} inputs.offlineNextId the next track if the server is unreachable; `null` if it is reachable
 * @returns {{trackId: TrackId, atMs: number} | null}
 */
export function nextStart({ goal, durationSec, segue, offsetMs, delayMs, offlineNextId }) {
  if (segue && offsetMs !== null && !goal.isPredicted && isSegueAtEnd(segue, goal, { durationSec, offsetMs, delayMs })) {
    return { trackId: segue.trackId, atMs: segue.anchorAtMs - offsetMs - delayMs };
  }
  if (offlineNextId === null || durationSec === 0) return null;
  return { trackId: offlineNextId, atMs: goal.atMs + (durationSec - goal.positionSec) * 1000 };
}

/**
 * Whether less than `END_MARGIN_SEC` of the goal's track remains; `false` if its length is unknown.
 * @param {Goal} goal
 * @param {number} durationSec of the goal's track; 0 if unknown
 * @param {number} nowMs
 */
export function isOver(goal, durationSec, nowMs) {
  return goal.kind === 'play' && durationSec > 0 && positionAt(goal, nowMs) > durationSec - END_MARGIN_SEC;
}
