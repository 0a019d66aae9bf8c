// PURE: decides whether the player must play silence so that the system does not suspend the page.
//
// iOS suspends a hidden page about ten seconds after its sound has stopped (WebKit PR 24969), and no timer or network
// event runs until the page is opened again. A phone that waits at a barrier, or that cannot play the current track,
// would miss the start of the next track. A media element that plays silence counts as sound on iOS. (Android Chrome
// counts only audible sound, and that for 30 s after its end.) In a paused room, silence would drain the battery and
// occupy Bluetooth, so no silence is played: the page may be suspended, and asks for a tap when it is opened again.

import { isPlayingOrStarting } from '../room/selectors.js';

/** Longer than the silence of a track change, and much shorter than the time after which phones suspend a page. */
const MIN_SILENT_MS = 1_000;

/**
 * @param {object} inputs
 * @param {import('../types.js').Snapshot | null} inputs.room
 * @param {boolean} inputs.isHidden whether the page is hidden; a visible page is not suspended
 * @param {boolean} inputs.canPlaySound whether this phone is a listener and the browser allows sound
 * @param {number} inputs.silentMs how long the player has been silent
 */
export function needsKeepAlive({ room, isHidden, canPlaySound, silentMs }) {
  return isHidden && canPlaySound && room !== null && isPlayingOrStarting(room) && silentMs >= MIN_SILENT_MS;
}
