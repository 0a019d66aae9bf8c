// Starts tracks on an <audio> element at planned times, and measures how long the starts take (start-latency.js).

import { sleep } from '../timer.js';
import { createStartLatency } from './start-latency.js';

/** @typedef {Extract<import('./align.js').Plan, {kind: 'start'}>} StartPlan */

/** The element's position is reliable this long after `play()`. */
const SETTLING_TIME_MS = 300;

/** Timers fire a few milliseconds late, so a wait ends with a busy loop of this duration. */
const BUSY_WAIT_MS = 3;

/** A start is postponed if its load or seek took too long; this is the maximum number of attempts. */
const MAX_START_ATTEMPTS = 3;

/**
 * @param {HTMLAudioElement} audio
 * @param {import('./element-source.js').ElementSource} source
 * @param {import('./element-state.js').ElementState} state
 */
export function createElementStarter(audio, source, state) {
  const latency = createStartLatency();
  /** The last start. `atMs`: when `play()` was called; if `isTrackChange`, when the load before that call began. */
  let lastStart = { atMs: 0, positionSec: 0, isTrackChange: false };
  let isLastStartMeasured = true;

  /** @param {typeof lastStart} newStart @param {() => boolean} isCurrent @param {boolean} [isInGesture] */
  async function play(newStart, isCurrent, isInGesture = false) {
    // Browsers play a muted element without a gesture, so such a start does not tell whether they allow sound.
    const provesSound = isInGesture || !audio.muted;
    lastStart = newStart;
    isLastStartMeasured = false;
    state.setPhase('playing');
    try {
      await audio.play();
      if (isCurrent() && provesSound) state.markAllowed();
    } catch (error) {
      if (isCurrent()) state.handlePlayError(error);
    }
  }

  /** @param {StartPlan} plan @param {() => boolean} isCurrent */
  async function changeTrackAtOnce({ trackId, positionSec }, isCurrent) {
    const atMs = performance.now();
    source.load(trackId);
    // To wait for an event here would cause an audible gap at the track change. Before its metadata has loaded, an
    // element uses `currentTime` as its start position (HTML, "default playback start position").
    if (positionSec > 0) audio.currentTime = positionSec;
    await play({ atMs, positionSec, isTrackChange: true }, isCurrent);
  }

  /**
   * Loads the track and seeks. If that took too long for the planned time, postpones the start and seeks again, in at
   * most `MAX_START_ATTEMPTS` attempts.
   * @param {StartPlan} plan
   * @param {() => boolean} isCurrent
   * @returns {Promise<{positionSec: number, atMs: number} | null>} the start to make; `null` if there is a later plan
   */
  async function prepareStart({ trackId, positionSec, atMs }, isCurrent) {
    for (let attempt = 1; ; attempt += 1) {
      const beganAtMs = performance.now();
      if (!source.isLoaded(trackId) || !source.isAt(positionSec)) audio.pause();
      source.load(trackId);
      await source.seek(positionSec, isCurrent);
      if (!isCurrent()) return null;
      const nowMs = performance.now();
      const tookMs = nowMs - beganAtMs;
      const lateMs = nowMs - (atMs - latency.latencyMs());
      if (latency.isInTime(lateMs) || attempt === MAX_START_ATTEMPTS) {
        latency.recordSeekInTime(tookMs);
        return { positionSec, atMs };
      }
      latency.recordLateSeek(tookMs);
      const postponedByMs = nowMs + latency.leadMs() - atMs;
      positionSec += postponedByMs / 1000;
      atMs += postponedByMs;
    }
  }

  return {
    latencyMs: latency.latencyMs,
    leadMs: latency.leadMs,
    trackChangeLatencyMs: latency.trackChangeLatencyMs,

    /** @param {StartPlan} plan @param {() => boolean} isCurrent whether there is no later plan */
    start: async (plan, isCurrent) => {
      state.setPhase('starting');
      if (plan.isImmediate && !source.isLoaded(plan.trackId)) return changeTrackAtOnce(plan, isCurrent);
      const start = await prepareStart(plan, isCurrent);
      if (!start) return;
      await waitUntil(start.atMs - latency.latencyMs());
      if (isCurrent()) await play({ atMs: performance.now(), positionSec: start.positionSec, isTrackChange: false }, isCurrent);
    },

    /**
     * Starts the loaded track without waiting: only a call of `play()` within a gesture unlocks the element.
     * @param {StartPlan} plan
     * @param {() => boolean} isCurrent
     */
    startInGesture: ({ positionSec, atMs }, isCurrent) => {
      const elapsedSec = (performance.now() + latency.latencyMs() - atMs) / 1000;
      audio.currentTime = Math.max(0, positionSec + elapsedSec);
      play({ atMs: performance.now(), positionSec: audio.currentTime, isTrackChange: false }, isCurrent, true);
    },

    /** Whether the last start has settled. Once it has, its latency is measured. @param {number} nowMs */
    checkSettled: (nowMs) => {
      if (state.phase() !== 'playing' || nowMs - lastStart.atMs <= SETTLING_TIME_MS || audio.seeking) return false;
      if (!isLastStartMeasured) {
        const playedMs = (audio.currentTime - lastStart.positionSec) * 1000;
        latency.recordStart(performance.now() - lastStart.atMs - playedMs, lastStart.isTrackChange);
        isLastStartMeasured = true;
      }
      return true;
    },
  };
}

/** Resolves at a time of this page's clock, more precisely than a timer. @param {number} atMs */
async function waitUntil(atMs) {
  const waitMs = atMs - performance.now() - BUSY_WAIT_MS;
  if (waitMs > 0) await sleep(waitMs);
  while (performance.now() < atMs);
}
