// The element engine: one <audio> element that plays Blob URLs. It works in all browsers and for all formats that
// the browser supports, but is less accurate than the buffer engine.

import { handleElementEvents } from './element-events.js';
import { createElementSilence } from './element-silence.js';
import { createElementSource } from './element-source.js';
import { createElementStarter } from './element-starter.js';
import { createElementState } from './element-state.js';
import { createElementVolume } from './element-volume.js';
import { createOutputProbe } from './output-probe.js';

/** @typedef {import('./align.js').Plan} Plan */
/** @typedef {import('../types.js').TrackId} TrackId */

/** @typedef {ReturnType<typeof createElementEngine>} ElementEngine */

/**
 * @param {HTMLAudioElement} audio
 * @param {Pick<import('./player.js').PlayerCallbacks, 'change' | 'ended' | 'unplayable' | 'duration'>} on `unplayable` is
 *   also called if the browser has discarded the track's bytes
 * @param {(trackId: TrackId) => number | null} levelOf the factor with which a track is played; `null` if it is silence
 * @param {(trackId: TrackId) => boolean} isTakenOverSoon whether the buffer engine will soon take the track over
 */
export function createElementEngine(audio, on, levelOf, isTakenOverSoon) {
  const source = createElementSource(audio);
  const state = createElementState(source, on.change);
  const volume = createElementVolume(audio);
  const starter = createElementStarter(audio, source, state);
  const silence = createElementSilence(audio, source, state);
  const outputProbe = createOutputProbe(silence.unlockSilenceUrl, { unplayable: on.unplayable, outputMissing: state.lock });
  handleElementEvents(audio, source, state, silence.isLoaded, {
    ended: on.ended,
    duration: on.duration,
    error: (trackId) => {
      if (trackId !== null || silence.isLoaded()) outputProbe.diagnose(trackId);
    },
  });

  /** @param {Extract<Plan, {kind: 'hold'}>} plan */
  function hold(plan) {
    const isCurrent = state.setPlan(plan);
    state.setPhase('held');
    volume.setLevel(levelOf(plan.trackId));
    audio.pause();
    source.load(plan.trackId);
    source.seek(plan.positionSec, isCurrent);
  }

  /** @param {TrackId} trackId */
  function setLevelOfStart(trackId) {
    volume.setLevel(levelOf(trackId), trackId, isTakenOverSoon(trackId));
  }

  function clear() {
    state.setPlan(null);
    source.clearTrack();
    state.markSilent();
    audio.pause();
  }

  return {
    canPlay: (/** @type {string} */ mime) => audio.canPlayType(mime) !== '',
    isLocked: state.isLocked,
    /** Whether it is locked because the system has stopped it. */
    isInterrupted: state.isInterrupted,
    isSoundAllowed: state.isSoundAllowed,
    /** Whether the device has no audio output. `unlock` tries again. */
    isOutputMissing: outputProbe.isOutputMissing,

    /**
     * Must be called within a gesture. Plays the track of the given timeline if that track is loaded, and silence otherwise.
     * @param {{trackId: TrackId, positionSec: number, atMs: number}} [timeline] at `atMs` the track is at
     *   `positionSec`
     */
    unlock: (timeline) => {
      outputProbe.reset();
      if (!timeline || !source.isLoaded(timeline.trackId)) {
        if (source.loadedTrackId() === null) volume.setLevel(null);
        return silence.unlock();
      }
      const plan = { kind: /** @type {const} */ ('start'), ...timeline, isImmediate: true };
      setLevelOfStart(plan.trackId);
      starter.startInGesture(plan, state.setPlan(plan));
    },

    prepare: source.prepare,
    replace: source.replace,
    isPrepared: source.isPrepared,
    retainOnly: source.retainOnly,

    /** @param {Exclude<Plan, {kind: 'slew'}> | 'silence'} plan */
    execute: (plan) => {
      if (plan === 'silence') return clear();
      if (plan.kind === 'hold') return hold(plan);
      setLevelOfStart(plan.trackId);
      starter.start(plan, state.setPlan(plan));
    },

    setOutputGain: volume.setOutputGain,
    /** The factor at which the track sounds, as far as an element can play it; `null` for silence. */
    level: volume.level,
    /** To be called if the buffer engine will not take the track over. @param {TrackId} trackId */
    endMutedStart: (trackId) => {
      if (source.loadedTrackId() === trackId) volume.unmute();
    },

    /** Plays silence until the next plan, so that the system does not suspend the page. */
    keepAlive: () => {
      volume.setLevel(null);
      silence.keepAlive();
    },

    /**
     * Also measures the latency of the last start once its position has settled.
     * @returns {import('./align.js').PlayerReport}
     */
    report: () => {
      const atMs = performance.now();
      return {
        trackId: source.loadedTrackId(),
        phase: state.phase(),
        isExact: false,
        isSettled: starter.checkSettled(atMs),
        isSlewing: false,
        hasGlitched: false,
        spreadMs: 0,
        positionSec: audio.currentTime,
        atMs,
        plan: state.plan(),
        latencyMs: starter.latencyMs(),
        leadMs: starter.leadMs(),
        trackChangeLatencyMs: starter.trackChangeLatencyMs(),
      };
    },
  };
}
