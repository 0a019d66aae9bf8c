// PURE: why this page is silent although the room plays, apart from the browser's autoplay policy.

/** @typedef {import('../types.js').AppState} AppState */

/** Commands that do not change whether the room plays. */
const NEUTRAL_COMMANDS = ['seek', 'nudge', 'pick', 'unpick', 'move', 'shuffle', 'sort', 'undo'];

/**
 * Whether another tab of this phone has the sound, in this room or in another one.
 * @param {Pick<AppState, 'isOtherTabSounding' | 'movedTo'>} state
 */
export function isSoundElsewhere({ isOtherTabSounding, movedTo }) {
  return isOtherTabSounding || Boolean(movedTo);
}

/**
 * Whether this page plays nothing, whatever the room does: another tab of this phone may sound. For what other phones expect of
 * this phone, see `waitsForTap`.
 * @param {Pick<AppState, 'isPausedHere' | 'isOtherTabSounding' | 'movedTo'>} state
 */
export function isSilencedHere(state) {
  return state.isPausedHere || isSoundElsewhere(state);
}

/**
 * Whether the room will be paused once the server has executed the pending commands. Then this phone is silent at once: the
 * response takes time, and never comes if the server is away.
 * @param {AppState['pendingCommands']} pendingCommands
 */
export function isPausePending(pendingCommands) {
  return pendingCommands.filter(({ name }) => !NEUTRAL_COMMANDS.includes(name)).at(-1)?.name === 'pause';
}

/**
 * Whether this phone is silent until somebody touches it, so that other phones and the server do not count on its sound: also
 * if the browser blocks the sound of a page that would play (`isLocked`), but not because another tab sounds.
 * @param {Pick<AppState, 'sound' | 'isPausedHere'>} state
 */
export function waitsForTap({ sound, isPausedHere }) {
  return sound.isLocked || isPausedHere;
}

/**
 * Whether this phone is silent because it is paused alone, by its user or by the system.
 * @param {Pick<AppState, 'sound' | 'isPausedHere'>} state
 */
export function isPausedAlone({ sound, isPausedHere }) {
  return isPausedHere || sound.isInterrupted;
}
