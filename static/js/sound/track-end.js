// The end of the current track: predicts the start of the next track, and asks the server to advance.

import { offsetAt } from './clock.js';
import { anchorKey, goalFor, isOver, isSegueAtEnd } from './goal.js';
import { createNextRequest } from './next-request.js';
import { indexedDurationSec, isCutShort } from '../tracks/durations.js';
import { isSilencedHere } from '../room/own-silence.js';
import { currentTrackId, firstTrackIdAfter, isOtherPhoneExpected, isOtherPhoneSounding, ownDelayMs, validSegue } from '../room/selectors.js';
import { after } from '../timer.js';

/** @typedef {import('./goal.js').Goal} Goal */
/** @typedef {import('../types.js').AppState} AppState */
/** @typedef {import('../types.js').Room} Room */
/** @typedef {import('../types.js').TrackId} TrackId */

/**
 * A phone that does not play the track requests the next one this long after the end, if no other phone plays the track. It
 * knows only the index's length, and those that play the track know the true length.
 */
const SILENT_PHONE_DELAY_MS = 700;

/** A phone with a late speaker plays early, by its speaker delay. This constant limits the wait for the other phones. */
const MAX_EARLY_MS = 1_000;

/**
 * @param {object} options
 * @param {import('../store.js').Store} options.store
 * @param {import('./player.js').Player} options.player
 * @param {import('./goal-source.js').GoalSource} options.goals
 * @param {() => {trackId: TrackId, atMs: number} | null} options.queuedStart
 * @param {() => void} options.onPredictedStartChange
 */
export function createTrackEnd({ store, player, goals, queuedStart, onPredictedStartChange }) {
  const requestNext = createNextRequest(store);
  /** The track that has ended, until the player plays again. */
  /** @type {TrackId | null} */
  let endedTrackId = null;
  /** The anchor at which another phone was last known to sound. */
  let soundingAnchorKey = '';

  /** To be called when the player has played a track to its end. @param {TrackId} trackId */
  function handleEnded(trackId) {
    const { room, connection } = store.get();
    if (room?.playState.mode !== 'playing') return;
    const roomTrackId = currentTrackId(room);
    const playingTrackId = goals.predictedStart()?.trackId ?? roomTrackId;
    if (trackId !== playingTrackId || !roomTrackId) return;
    endedTrackId = trackId;
    // A request before the end of the track on the other phones would cut off the end there.
    const requestAtMs = Math.min(ownEndAtMs(trackId), performance.now() + MAX_EARLY_MS);
    // The segue that follows the end of the other phones is still far.
    const start = connection === 'open' && isCutOff() ? null : predictStart(room, roomTrackId, playingTrackId);
    if (start) goals.setPredictedStart(start);
    onPredictedStartChange();
    if (connection !== 'open') return;
    requestNextAt(requestAtMs, anchorKey(room));
  }

  /**
   * Requests the next track at this time, or later if another phone still plays the track then. Requests nothing if the room
   * has another anchor then.
   * @param {number} atMs
   * @param {string} endedAnchorKey
   */
  function requestNextAt(atMs, endedAnchorKey) {
    const { room } = store.get();
    if (!room || anchorKey(room) !== endedAnchorKey) return;
    const waitMs = Math.max(atMs, othersEndAtMs(room)) - performance.now();
    if (waitMs > 0) after(waitMs, () => requestNextAt(atMs, endedAnchorKey));
    else requestNext();
  }

  /**
   * Until when, on this page's clock, the other phones may play the room's track; 0 if no other phone plays. This phone may have
   * decoded less of the file than the others, and then counts on those that have not reported yet whether they sound. The server's
   * announced segue is at the longest length that a phone has reported.
   * @param {Room} room
   */
  function othersEndAtMs(room) {
    const { memberId, index, clock } = store.get();
    const goal = goals.goal();
    if (goal.kind !== 'play' || goal.isPredicted) return 0;
    const offsetMs = offsetAt(clock, performance.now());
    const segue = validSegue(room);
    const segueAtMs = segue && offsetMs !== null ? segue.anchorAtMs - offsetMs : null;
    const isEarly = isCutOff() || (segueAtMs !== null && segueAtMs > performance.now());
    const mayLackReports = isEarly && soundingAnchorKey !== anchorKey(room);
    if (!isOtherPhoneSounding(room, memberId) && !(mayLackReports && isOtherPhoneExpected(room, memberId))) return 0;
    if (segueAtMs !== null) return segueAtMs;
    const track = index.get(goal.trackId);
    const indexedSec = (track && indexedDurationSec(track)) ?? 0;
    return goal.atMs + ownDelayMs(store.get()) + (indexedSec - goal.positionSec) * 1000;
  }

  /** Whether this phone has played all that it can of the track, long before the end that the index states. */
  function isCutOff() {
    const { index } = store.get();
    const goal = goals.goal();
    if (goal.kind !== 'play' || goal.isPredicted) return false;
    const track = index.get(goal.trackId);
    const indexedSec = (track && indexedDurationSec(track)) ?? 0;
    const remainingMs = goal.atMs + (indexedSec - goal.positionSec) * 1000 - performance.now();
    return remainingMs > MAX_EARLY_MS && (endedTrackId === goal.trackId || isCutShort(track));
  }

  /**
   * When phones without a speaker delay reach the end of the playing track that this phone has decoded, on this page's clock; 0
   * if unknown.
   * @param {TrackId} trackId
   */
  function ownEndAtMs(trackId) {
    const goal = goals.roomGoal();
    const durationSec = store.get().index.get(trackId)?.duration ?? 0;
    if (goal.kind !== 'play' || durationSec === 0) return 0;
    return goal.atMs + ownDelayMs(store.get()) + (durationSec - goal.positionSec) * 1000;
  }

  /**
   * The start of the next track: as the server has announced it or, while the server is unreachable, at the end of the
   * track that has just ended. `null` if the server has to decide.
   * @param {Room} room
   * @param {TrackId} roomTrackId
   * @param {TrackId} playingTrackId the track that this phone plays; differs from the room's after a predicted start
   * @returns {import('./goal.js').PredictedStart | null}
   */
  function predictStart(room, roomTrackId, playingTrackId) {
    const { connection, clock, index } = store.get();
    const offsetMs = offsetAt(clock, performance.now());
    const segue = goals.predictedStart() ? null : validSegue(room);
    const endInputs = { durationSec: index.get(playingTrackId)?.duration ?? 0, offsetMs: offsetMs ?? 0, delayMs: ownDelayMs(store.get()) };
    const isUsable = segue && offsetMs !== null && goals.isPlayable(segue.trackId) && isSegueAtEnd(segue, goals.goal(), endInputs);
    const announcedSegue = isUsable ? segue : null;
    const offlineNextId = connection === 'open' ? null : firstTrackIdAfter(room, playingTrackId, goals.isPlayable);
    const nextTrackId = announcedSegue?.trackId ?? offlineNextId;
    if (nextTrackId === null) return null;
    const queued = queuedStart();
    // Predicted times do not include this phone's delay, which `goalFor` subtracts.
    const ownStartMs =
      (queued && queued.trackId === nextTrackId ? queued.atMs : performance.now()) + ownDelayMs(store.get());
    const atMs = announcedSegue && offsetMs !== null ? announcedSegue.anchorAtMs - offsetMs : ownStartMs;
    return { trackId: nextTrackId, previousTrackId: roomTrackId, anchorKey: anchorKey(room), atMs };
  }

  store.subscribe(({ room, memberId }) => {
    if (room && isOtherPhoneSounding(room, memberId)) soundingAnchorKey = anchorKey(room);
  });
  store.subscribe(({ connection }, previous) => {
    // The track may have ended before the loss of the connection was detected.
    const isConnectionLost = connection !== 'open' && previous.connection === 'open';
    if (isConnectionLost && endedTrackId !== null) handleEnded(endedTrackId);
  });

  return {
    handleEnded,
    isCutOff,

    /** To be called when the player plays again. */
    clearEnded: () => {
      endedTrackId = null;
    },

    /**
     * While the server is unreachable, the other phones play on by themselves. A phone that is silenced follows them, so that it
     * rejoins at the position that they have reached.
     * @param {number} nowMs
     */
    predictNextWhileSilenced: (nowMs) => {
      const { room, connection } = store.get();
      const goal = goals.roomGoal();
      const roomTrackId = room && currentTrackId(room);
      if (!roomTrackId || connection === 'open' || !isSilencedHere(store.get()) || goal.kind !== 'play') return;
      const endAtMs = ownEndAtMs(goal.trackId);
      const nextTrackId = firstTrackIdAfter(room, goal.trackId, goals.isPlayable);
      if (endAtMs === 0 || nowMs < endAtMs || nextTrackId === null) return;
      goals.setPredictedStart({ trackId: nextTrackId, previousTrackId: roomTrackId, anchorKey: anchorKey(room), atMs: endAtMs });
    },

    /**
     * Whether the room's track is over by the clock and this phone does not play it, so that it must not be started
     * again.
     * @param {Goal} goal
     * @param {number} nowMs
     * @param {AppState} appState
     */
    isTrackOver: (goal, nowMs, { room, index }) => {
      if (!room) return false;
      const { phase } = player.report();
      const isRoomGoal = goal.kind === 'play' && !goal.isPredicted;
      return isRoomGoal && isOver(goal, currentDurationSec(room, index), nowMs) && phase !== 'playing';
    },

    /**
     * Sends the command `next` if the room's track is over by the clock and neither this phone nor another one plays it.
     * @param {Goal} goal
     * @param {number} nowMs
     * @param {AppState} appState
     * @param {boolean} isTrackOver the result of `isTrackOver`
     */
    requestNextIfOver: (goal, nowMs, { room, memberId, index, clock, settings, unplayableReasons }, isTrackOver) => {
      if (!room) return;
      const trackId = currentTrackId(room) ?? '';
      const isDecoded = player.preparedTrack(trackId) !== undefined && player.isReady(trackId);
      // A phone that knows the true length waits only until the others must have ended, too: the reports of phones that have
      // ended together are outdated, and otherwise each of them would wait for the others.
      const knowsEnd = isTrackOver && (isDecoded || endedTrackId === trackId);
      const mustWait = knowsEnd ? nowMs < othersEndAtMs(room) : isOtherPhoneSounding(room, memberId);
      if (mustWait) return;
      const durationSec = currentDurationSec(room, index);
      if (isTrackOver) {
        if (isOver(goal, durationSec, nowMs - SILENT_PHONE_DELAY_MS)) requestNext();
        return;
      }
      const isUnplayable = goal.kind === 'silent' && unplayableReasons.has(trackId);
      if (!isUnplayable || settings.isRemoteControl) return;
      const goalOfOthers = goalFor({
        room,
        offsetMs: offsetAt(clock, nowMs),
        isRemoteControl: false,
        isPlayable: () => true,
        predictedStart: null,
        delayMs: 0,
      });
      if (isOver(goalOfOthers, durationSec, nowMs - SILENT_PHONE_DELAY_MS)) requestNext();
    },
  };
}

/**
 * @param {Room} room
 * @param {AppState['index']} index
 * @returns {number} 0 if unknown
 */
function currentDurationSec(room, index) {
  return index.get(currentTrackId(room) ?? '')?.duration ?? 0;
}
