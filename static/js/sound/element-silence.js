// The silence that the element engine plays: within a gesture, to unlock the element, and while the page is hidden, so
// that the system does not suspend the page.

import { silentWav } from './silence.js';

const UNLOCK_SILENCE_SEC = 0.5;

/** Android Chrome shows lock-screen controls only for media longer than 5 s. */
const KEEP_ALIVE_SILENCE_SEC = 10;

/**
 * @param {HTMLAudioElement} audio
 * @param {import('./element-source.js').ElementSource} source
 * @param {import('./element-state.js').ElementState} state
 */
export function createElementSilence(audio, source, state) {
  const unlockSilenceUrl = URL.createObjectURL(silentWav(UNLOCK_SILENCE_SEC));
  const keepAliveSilenceUrl = URL.createObjectURL(silentWav(KEEP_ALIVE_SILENCE_SEC));

  return {
    unlockSilenceUrl,
    /** Whether the element has loaded one of these files of silence. */
    isLoaded: () => [unlockSilenceUrl, keepAliveSilenceUrl].includes(audio.src),

    /** Must be called within a gesture. A loaded track stays loaded. */
    unlock: () => {
      const hasTrack = source.loadedTrackId() !== null;
      if (!hasTrack) {
        audio.loop = false;
        audio.src = unlockSilenceUrl;
      }
      state.setPlan(null);
      state.markSilent();
      audio.play().then(state.markAllowed, state.handlePlayError);
      if (hasTrack) {
        audio.pause();
        // `pause()` rejects the promise of `play()`, but the browser has accepted the gesture.
        state.markAllowed();
      }
    },

    /** Plays silence until the next plan. */
    keepAlive: () => {
      if (state.phase() === 'keepAlive') return;
      const isCurrent = state.setPlan(null);
      source.unload();
      state.setPhase('keepAlive');
      audio.loop = true;
      audio.src = keepAliveSilenceUrl;
      audio.play().catch((error) => {
        if (isCurrent()) state.handlePlayError(error);
      });
    },
  };
}
