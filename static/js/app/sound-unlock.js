// Unlocks sound on a tap if the browser may block sound, for instance after a reload: browsers play no sound before the
// user has interacted with the page. While this page is silenced, a tap unlocks nothing, because that would take the
// audio output away from a phone call or another app.

import { isSilencedHere } from '../room/own-silence.js';

/**
 * @param {object} options
 * @param {import('../store.js').Store} options.store
 * @param {() => boolean} options.isSoundAllowed whether the browser is known to allow sound
 * @param {() => void} options.unlock unlocks sound; must run synchronously in the gesture
 * @returns {() => void} unlocks sound if the browser may block sound; to be called for gestures outside of the page,
 *   such as media keys
 */
export function createSoundUnlock({ store, isSoundAllowed, unlock }) {
  function unlockIfLocked() {
    const { view, settings } = store.get();
    if (view === 'room' && !settings.isRemoteControl && !isSilencedHere(store.get()) && !isSoundAllowed()) unlock();
  }

  for (const eventName of ['click', 'pointerup']) document.addEventListener(eventName, unlockIfLocked, { capture: true });
  return unlockIfLocked;
}
