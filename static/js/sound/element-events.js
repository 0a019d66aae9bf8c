// Handles the events of the <audio> element: the end of the track, a pause by the system, loaded metadata and errors.

/** @typedef {import('../types.js').TrackId} TrackId */

/**
 * @param {HTMLAudioElement} audio
 * @param {import('./element-source.js').ElementSource} source
 * @param {import('./element-state.js').ElementState} state
 * @param {() => boolean} isSilenceLoaded whether the element has loaded silence that is no track's
 * @param {Pick<import('./player.js').PlayerCallbacks, 'ended' | 'duration'> & {
 *   error: (trackId: TrackId | null) => void,
 * }} on `error`: loading or playing has failed; `null` if no track was loaded
 */
export function handleElementEvents(audio, source, state, isSilenceLoaded, on) {
  function checkEnded() {
    const trackId = source.loadedTrackId();
    if (state.phase() !== 'playing' || trackId === null) return;
    if (!audio.ended && !(audio.currentTime >= audio.duration)) return;
    state.setPhase('ended');
    on.ended(trackId);
  }

  // On an iPhone with a locked screen any of these events may be the first at the end of a track, and `ended` may not be
  // sent at all.
  for (const name of ['timeupdate', 'pause', 'ended']) audio.addEventListener(name, checkEnded);

  audio.addEventListener('loadedmetadata', () => {
    const trackId = source.loadedTrackId();
    if (trackId !== null && Number.isFinite(audio.duration)) on.duration(trackId, audio.duration);
  });
  audio.addEventListener('pause', () => {
    // A pause while the engine plays comes from the system, for instance at a phone call or when a headset is
    // unplugged. Playback is not resumed automatically, because the user may not want sound now.
    const isOwnPause = state.phase() !== 'playing' && state.phase() !== 'keepAlive';
    if (isOwnPause || audio.ended || audio.error || !audio.paused) return;
    state.markSilent();
    state.lockAfterSystemPause();
  });
  audio.addEventListener('playing', () => {
    const isSilent = state.phase() === 'held' || state.phase() === 'empty';
    if (audio.paused || !isSilent || isSilenceLoaded()) return;
    // The system itself plays on, for instance after a phone call, so no tap is needed. The next plan corrects the position.
    // If the phone was to be silent in the meantime, it stays so.
    if (!state.isStoppedBySystem()) audio.pause();
    state.markAllowed();
  });
  audio.addEventListener('error', () => {
    const trackId = source.loadedTrackId();
    source.clearTrack();
    state.setPlan(null);
    state.markSilent();
    on.error(trackId);
  });
}
