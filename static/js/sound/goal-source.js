// Computes this phone's playback goal (goal.js) from the app state, and holds the predicted start.

import { offsetAt } from './clock.js';
import { goalFor, isPredictionValid } from './goal.js';
import { shownRoom } from '../room/optimistic.js';
import { isPausePending, isSilencedHere } from '../room/own-silence.js';
import { ownDelayMs } from '../room/selectors.js';

/** @typedef {import('./goal.js').PredictedStart} PredictedStart */
/** @typedef {import('../types.js').Room} Room */
/** @typedef {import('../types.js').TrackId} TrackId */

/** @typedef {ReturnType<typeof createGoalSource>} GoalSource */

/** @param {import('../store.js').Store} store */
export function createGoalSource(store) {
  /** @type {PredictedStart | null} */
  let predictedStart = null;

  /** @param {TrackId} trackId */
  function isPlayable(trackId) {
    const { cachedTrackIds, unplayableReasons } = store.get();
    return cachedTrackIds.has(trackId) && !unplayableReasons.has(trackId);
  }

  /** The goal of a phone that plays along with the room. @returns {import('./goal.js').Goal} */
  function roomGoal() {
    const state = store.get();
    const isPausing = isPausePending(state.pendingCommands);
    const room = isPausing ? shownRoom(state) : state.room;
    if (!room) return { kind: 'silent' };
    return goalFor({
      room,
      offsetMs: offsetAt(state.clock, performance.now()),
      isRemoteControl: state.settings.isRemoteControl,
      isPlayable,
      predictedStart: isPausing ? null : predictedStart,
      delayMs: ownDelayMs(state),
    });
  }

  return {
    isPlayable,
    roomGoal,

    /** @returns {import('./goal.js').Goal} */
    goal: () => (isSilencedHere(store.get()) ? { kind: 'silent' } : roomGoal()),

    predictedStart: () => predictedStart,
    /** @param {PredictedStart | null} newStart */
    setPredictedStart: (newStart) => {
      predictedStart = newStart;
    },
    /** Clears a predicted start that the room has confirmed or contradicted. @param {Room | null} room */
    expirePredictedStart: (room) => {
      if (predictedStart && (!room || !isPredictionValid(predictedStart, room))) predictedStart = null;
    },
  };
}
