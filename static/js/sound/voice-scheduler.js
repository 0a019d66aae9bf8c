// Schedules voices on an AudioContext: the voice that plays, and the next one, which takes over without a gap.

import { after } from '../timer.js';
import { SCHEDULING_RESERVE_SEC, createVoice } from './voice.js';

/** @typedef {import('../types.js').TrackId} TrackId */
/** @typedef {import('./voice.js').Voice} Voice */

/** The next voice is not rescheduled for a smaller change of its start time. */
const MIN_RESCHEDULE_MS = 0.5;

/** The next voice is not rescheduled if it begins sooner than this, unless another track is to follow. */
const MIN_RESCHEDULE_LEAD_SEC = 0.1;

/** A track may be longer than indexed: its voice may continue for this long after the next voice has begun. */
const MAX_OVERLAP_SEC = 0.05;

/**
 * @param {AudioContext} context
 * @param {import('./output-clock-meter.js').OutputClockMeter} clockMeter
 * @param {(trackId: TrackId) => import('./output-clock.js').DecodedTrack | null} decodedTrack
 * @param {AudioNode} output of the voices
 * @param {(trackId: TrackId) => number} levelOf the factor with which a track is played
 * @param {object} on
 * @param {(endedVoice: Voice) => void} on.ended The current voice has reached its track's end, and no voice follows.
 * @param {(oldVoice: Voice, newVoice: Voice, atMs: number) => void} on.tookOver The next voice has replaced the old
 *   one; `atMs` is when the first sample of the next voice is heard, on the page clock.
 */
export function createVoiceScheduler(context, clockMeter, decodedTrack, output, levelOf, on) {
  /** @type {Voice | null} */
  let currentVoice = null;
  /** @type {Voice | null} */
  let nextVoice = null;
  let cancelTakeOver = () => {};

  /** @param {number} sec */
  function roundToFrame(sec) {
    return Math.round(sec * context.sampleRate) / context.sampleRate;
  }

  /** The earliest context time for which a change can still be scheduled. */
  function earliestSec() {
    return context.currentTime + SCHEDULING_RESERVE_SEC;
  }

  /**
   * Schedules a voice. If `atMs` is too soon or past, the voice begins as soon as possible at the corresponding
   * later position. Returns `null` if the track is not decoded or would be over by then.
   * @param {TrackId} trackId
   * @param {number} positionSec
   * @param {number} atMs when the track is to be heard at `positionSec`
   */
  function schedule(trackId, positionSec, atMs) {
    const track = decodedTrack(trackId);
    if (!track) return null;
    const requestedSec = roundToFrame(clockMeter.contextSecAt(atMs));
    const atSec = Math.max(requestedSec, roundToFrame(earliestSec()));
    const fromSec = roundToFrame(positionSec) + atSec - requestedSec;
    if (fromSec >= track.durationSec) return null;
    return createVoice(context, { trackId, track, atSec, fromSec, level: levelOf(trackId) }, output, handleEnded);
  }

  /** When the first sample of a voice is heard, on this page's clock. @param {Voice} voice */
  function startAtMs(voice) {
    return performance.now() + (voice.atSec - clockMeter.contextSecAt(performance.now())) * 1000;
  }

  /** @param {Voice} voice */
  function handleEnded(voice) {
    if (voice !== currentVoice) return;
    if (nextVoice) return takeOver();
    currentVoice = null;
    on.ended(voice);
  }

  function takeOver() {
    if (!nextVoice || !currentVoice) return;
    const oldVoice = currentVoice;
    cancelTakeOver();
    currentVoice = nextVoice;
    nextVoice = null;
    const atMs = startAtMs(currentVoice);
    oldVoice.end(Math.max(context.currentTime, currentVoice.atSec + MAX_OVERLAP_SEC));
    on.tookOver(oldVoice, currentVoice, atMs);
  }

  /**
   * Schedules the track that follows the current voice; `null` cancels it.
   * @param {{trackId: TrackId, atMs: number} | null} start
   */
  function scheduleNext(start) {
    if (nextVoice) {
      const changeMs = start?.trackId === nextVoice.trackId ? Math.abs(start.atMs - startAtMs(nextVoice)) : Infinity;
      const isTooLate = changeMs < Infinity && nextVoice.atSec - context.currentTime < MIN_RESCHEDULE_LEAD_SEC;
      if (changeMs < MIN_RESCHEDULE_MS || isTooLate) return;
      cancelTakeOver();
      nextVoice.end(context.currentTime);
      nextVoice = null;
    }
    if (!start || !currentVoice) return;
    const scheduledVoice = schedule(start.trackId, 0, start.atMs);
    if (!scheduledVoice) return;
    nextVoice = scheduledVoice;
    // The end of the old voice cannot trigger the change, because the new voice may begin before or after that end.
    cancelTakeOver = after(Math.max(0, startAtMs(scheduledVoice) - performance.now()), takeOver);
  }

  return {
    currentVoice: () => currentVoice,
    scheduleNext,

    /** Applies the levels of the tracks to the voices that have not begun. */
    updateLevels: () => {
      for (const voice of [currentVoice, nextVoice]) voice?.changeLevelBeforeStart(() => levelOf(voice.trackId));
    },

    /**
     * Replaces the current voice at the start of the new one.
     * @param {{trackId: TrackId, positionSec: number, atMs: number}} start
     * @returns {boolean} whether a voice was scheduled
     */
    start: ({ trackId, positionSec, atMs }) => {
      const oldVoice = currentVoice;
      scheduleNext(null);
      currentVoice = schedule(trackId, positionSec, atMs);
      oldVoice?.end(Math.max(context.currentTime, currentVoice?.atSec ?? 0));
      return currentVoice !== null;
    },

    /** Fades out the current voice, and cancels the next one. */
    stop: () => {
      scheduleNext(null);
      currentVoice?.end(earliestSec());
      currentVoice = null;
    },
  };
}
