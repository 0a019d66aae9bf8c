// The volume of an <audio> element. An element cannot play louder than its file, so a track that levelling would raise stays as
// it is. On iOS, where `volume` is always 1, an element can only be muted. Both would be possible through an AudioContext, but
// Safari plays elements there at wrong rates (`createMediaElementSource`, until 2026).

import { after } from '../timer.js';

/** @typedef {import('../types.js').TrackId} TrackId */

/** A start is muted for at most this long, in case that the buffer engine does not take over. */
const MAX_MUTED_MS = 5_000;

/** @param {HTMLAudioElement} audio */
export function createElementVolume(audio) {
  audio.volume = 0.5;
  const isAdjustable = audio.volume === 0.5;
  audio.volume = 1;
  /** The factor of the track in the element; `null` for silence, which is neither levelled nor muted. */
  /** @type {number | null} */
  let level = null;
  let outputGain = 1;
  /** The track that was started last. @type {TrackId | null} */
  let startedTrackId = null;
  /** Whether that track is muted, because it would be too loud until the buffer engine takes over. */
  let isStartMuted = false;
  let cancelUnmute = () => {};

  function factor() {
    return level === null ? 1 : Math.min(1, level * outputGain);
  }

  function apply() {
    audio.volume = factor();
    audio.muted = level !== null && (outputGain === 0 || isStartMuted);
  }

  function unmute() {
    cancelUnmute();
    isStartMuted = false;
    apply();
  }

  return {
    /**
     * To be called when a track starts, or is held.
     * @param {number | null} newLevel
     * @param {TrackId | null} [trackId] the track if it starts
     * @param {boolean} [isTakenOverSoon] whether the buffer engine will soon take the track over
     */
    setLevel: (newLevel, trackId = null, isTakenOverSoon = false) => {
      level = newLevel;
      // A later start of the same track corrects its position, and must not mute a track that sounds.
      if (trackId === null || trackId !== startedTrackId) {
        cancelUnmute();
        isStartMuted = isTakenOverSoon && !isAdjustable && factor() < 1;
        if (isStartMuted) cancelUnmute = after(MAX_MUTED_MS, unmute);
      }
      startedTrackId = trackId;
      apply();
    },
    /** The factor at which the track sounds, as far as an element can play it; `null` for silence. */
    level: () => (level === null || outputGain === 0 ? level : Math.min(level, 1 / outputGain)),
    /** To be called if the buffer engine will not take over. */
    unmute,
    /** @param {number} newGain a factor */
    setOutputGain: (newGain) => {
      outputGain = newGain;
      apply();
    },
  };
}
