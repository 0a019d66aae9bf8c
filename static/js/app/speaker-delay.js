// This phone's speaker delay: applied on this phone while the slider moves (a trial), and sent to the server when the
// slider is released. The trial ends when the room contains the delay, or when this phone leaves the room.

import { ownDelayMs } from '../room/selectors.js';

/** @typedef {import('../types.js').ComparedSpeakers} ComparedSpeakers */

/**
 * The phones that a person compares by ear at present: while all phones tick, those that can sound.
 * @param {Pick<import('../types.js').AppState, 'room' | 'memberId' | 'testSoundSchedule'>} state
 * @returns {ComparedSpeakers | undefined} `undefined` while this phone is not compared with another one
 */
export function comparisonByEar({ room, memberId, testSoundSchedule }) {
  if (!room || testSoundSchedule?.kind !== 'tick') return undefined;
  const memberIds = testSoundSchedule.memberIds.filter((id) => {
    const listener = room.live.listeners[id];
    return listener?.role === 'listener' && !listener.sync?.waitsForTap;
  });
  return memberId !== null && memberIds.includes(memberId) && memberIds.length > 1 ? { by: 'ear', memberIds } : undefined;
}

/**
 * The delays to send with this phone's new one: of two phones that are compared by ear, both are recorded as compared, so
 * that of the other phone is sent as it is.
 * @param {Pick<import('../types.js').AppState, 'room'>} state
 * @param {import('../types.js').MemberId} memberId
 * @param {number} delayMs
 * @param {ComparedSpeakers | undefined} compared
 */
function delaysOf({ room }, memberId, delayMs, compared) {
  const [otherId, ...more] = compared?.memberIds.filter((id) => id !== memberId) ?? [];
  if (otherId === undefined || more.length > 0) return { [memberId]: delayMs };
  return { [memberId]: delayMs, [otherId]: room?.clients[otherId]?.delayMs ?? 0 };
}

/**
 * @param {object} options
 * @param {import('../store.js').Store} options.store
 * @param {(delays: Record<string, number>, compared?: ComparedSpeakers) => Promise<boolean>} options.setDelays sends
 *   delays in milliseconds, by member; resolves to whether the server accepted the delays, after the room contains them
 */
export function createSpeakerDelay({ store, setDelays }) {
  /** Increases with each value of the slider, so that the response to an earlier value does not end a later trial. */
  let trialNumber = 0;

  const endTrial = () => store.update({ trialDelayMs: null });

  store.subscribe((state) => {
    if (state.trialDelayMs === null) return;
    const isInRoom = ownDelayMs({ ...state, trialDelayMs: null }) === state.trialDelayMs;
    if (isInRoom || state.memberId === null) endTrial();
  });

  return {
    /** @param {number} trialDelayMs */
    tryDelay: (trialDelayMs) => {
      trialNumber += 1;
      store.update({ trialDelayMs });
    },
    /** @param {number} delayMs */
    setDelay: async (delayMs) => {
      const { memberId } = store.get();
      if (memberId === null) return;
      const ownTrialNumber = trialNumber;
      const compared = comparisonByEar(store.get());
      await setDelays(delaysOf(store.get(), memberId, delayMs, compared), compared);
      // The trial ends in any case: a refused delay does not apply, and an accepted one is in the room, possibly
      // rounded.
      if (ownTrialNumber === trialNumber) endTrial();
    },
  };
}
