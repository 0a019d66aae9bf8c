// The pause of this phone alone: the room and the other phones play on. It begins when the system pauses the page (headphones
// unplugged, a phone call, the lock screen), or when Pause cannot reach the server, and ends when somebody asks this phone for
// sound. It outlasts a reload, because iOS and Android also reload pages by themselves.

const STORAGE_KEY = 'lockstep.pausedHere';

/** Whether this phone was paused before a reload. */
export function wasPausedHere() {
  try {
    return sessionStorage.getItem(STORAGE_KEY) !== null;
  } catch {
    // The browser refuses sessionStorage, as with blocked cookies.
    return false;
  }
}

/** @param {boolean} isPausedHere */
function savePause(isPausedHere) {
  try {
    if (isPausedHere) sessionStorage.setItem(STORAGE_KEY, '1');
    else sessionStorage.removeItem(STORAGE_KEY);
  } catch {
    // As above: then a reload ends the pause.
  }
}

/**
 * @param {object} options
 * @param {import('../store.js').Store} options.store
 * @param {() => void} options.claimSound makes this tab the one of this phone that sounds
 * @param {() => void} options.unlockSound unlocks sound if the browser may block it; must run synchronously in the gesture
 */
export function createPhonePause({ store, claimSound, unlockSound }) {
  store.subscribe((state, previous) => {
    if (state.isPausedHere !== previous.isPausedHere) savePause(state.isPausedHere);
    // Who pairs this phone again, or makes a remote control of it and then a listener, wants sound. The big screen is a remote
    // control for a time only.
    const isRemoteControl = state.settings.isRemoteControl && !state.isScreenOpen;
    if (state.isPausedHere && (state.view === 'join' || isRemoteControl)) store.update({ isPausedHere: false });
  });

  return {
    pauseHere: () => {
      store.update({ isPausedHere: true });
      // Another tab may be the one that sounds.
      claimSound();
    },

    /** Plays along with the room, in this tab. Must be called within a gesture: the browser may have blocked sound in the meantime. */
    rejoin: () => {
      store.update({ isPausedHere: false, movedTo: null });
      claimSound();
      unlockSound();
    },
  };
}
