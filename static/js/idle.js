// PURE: whether silence is to sound.
//
// iOS suspends a hidden page about ten seconds after its sound stops, and then nothing runs until somebody
// opens it: while others are still downloading, or while this phone sits a track out, it would miss the
// next track. An element that plays silence counts as sound there (Android counts what can be heard, and
// gives thirty seconds). In a paused room silence would hold on to the battery and to Bluetooth for
// nothing: such a page may be suspended, and says on return that it needs a tap.

import { wantsToPlay } from './state.js';

/** Longer than a change of tracks takes, and far shorter than phones are patient. */
const QUIET_MS = 1_000;

/**
 * @param {object} scene
 * @param {import('./types.js').Snapshot | null} scene.room
 * @param {boolean} scene.hidden The page is not to be seen; otherwise nobody suspends it.
 * @param {boolean} scene.able This phone is a listener, and sound is allowed.
 * @param {number} scene.quietMs For how long nothing has sounded.
 */
export function idles({ room, hidden, able, quietMs }) {
  return hidden && able && room !== null && wantsToPlay(room) && quietMs >= QUIET_MS;
}
