// The part of the buffer engine that belongs to one AudioContext: plays whole decoded tracks, accurate to the sample. Voices are
// scheduled in context time; output-clock-meter.js converts between context time and this page's clock.

import { after } from '../timer.js';
import { bufferReport } from './buffer-report.js';
import { createContextLifecycle } from './context-lifecycle.js';
import { createOutputClockMeter } from './output-clock-meter.js';
import { createOutputGain } from './output-gain.js';
import { createTestSoundPlayer } from './test-sound-player.js';
import { createVoiceScheduler } from './voice-scheduler.js';

/** An ending engine fades its sound out within this time. */
const FADE_OUT_MS = 500;
/** An ended engine's context may still decode tracks, for at most this long. */
const CLOSE_DELAY_MS = 25_000;

/** @typedef {import('./align.js').Plan} Plan */
/** @typedef {import('../types.js').TrackId} TrackId */

/** @typedef {ReturnType<typeof createContextEngine>} ContextEngine */

/**
 * @param {AudioContext} context
 * @param {(trackId: TrackId) => import('./output-clock.js').DecodedTrack | null} decodedTrack
 * @param {object} on
 * @param {() => void} on.change The engine was locked, its context has begun to run, or a start was scheduled.
 * @param {(trackId: TrackId) => void} on.ended The track has played to its end, or the queued track has replaced it.
 * @param {(trackId: TrackId) => void} on.nextStarted The queued track has started.
 * @param {(trackId: TrackId) => number} levelOf the factor with which a track is played
 */
export function createContextEngine(context, decodedTrack, on, levelOf) {
  const clockMeter = createOutputClockMeter(context);
  const output = createOutputGain(context);
  /** `null` while a track plays or a start is pending, or if no track is loaded. */
  /** @type {import('./buffer-report.js').SilentPosition | null} */
  let silentPosition = null;
  /** @type {Plan | null} */
  let plan = null;
  /** Increases with each plan, so that an asynchronous start can detect a later plan. */
  let planNumber = 0;

  const voices = createVoiceScheduler(context, clockMeter, decodedTrack, output.node, levelOf, {
    ended: (voice) => {
      silentPosition = { trackId: voice.trackId, positionSec: voice.positionAt(Infinity), hasEnded: true };
      lifecycle.suspendWhenIdle();
      on.ended(voice.trackId);
    },
    tookOver: (oldVoice, newVoice, atMs) => {
      plan = { kind: 'start', trackId: newVoice.trackId, positionSec: 0, atMs, isImmediate: false };
      on.ended(oldVoice.trackId);
      on.nextStarted(newVoice.trackId);
    },
  });

  const lifecycle = createContextLifecycle(context, clockMeter, {
    isPlaying: () => voices.currentVoice() !== null,
    isNeeded: () => voices.currentVoice() !== null || plan?.kind === 'start',
    onInterrupted: () => {
      const voice = voices.currentVoice();
      const positionSec = voice?.positionAt(clockMeter.contextSecAt(performance.now())) ?? 0;
      stop();
      silentPosition = voice && { trackId: voice.trackId, positionSec, hasEnded: false };
    },
    onLocked: () => {
      planNumber += 1;
      plan = null;
      on.change();
    },
    onRunning: on.change,
  });
  const testSounds = createTestSoundPlayer(context, clockMeter, lifecycle);

  function stop() {
    voices.stop();
    lifecycle.suspendWhenIdle();
  }

  /** @param {Extract<Plan, {kind: 'start'}>} start */
  async function executeStart(start) {
    const ownPlanNumber = planNumber;
    if (!lifecycle.isReady() && !(await lifecycle.waitUntilReady(() => ownPlanNumber === planNumber))) return;
    // No voice is scheduled if the track would be over by the time of the start.
    const isVoiceScheduled = voices.start(start);
    silentPosition = isVoiceScheduled ? null : { trackId: start.trackId, positionSec: start.positionSec, hasEnded: true };
    clockMeter.sampleFast();
    on.change();
  }

  return {
    /** Whether the engine is silent until a gesture. */
    isLocked: lifecycle.isLocked,
    /** Whether it is locked because the system has stopped it. */
    isInterrupted: lifecycle.isInterrupted,

    /** Must be called within a gesture. */
    unlock: lifecycle.unlock,

    setOutputGain: output.set,
    updateLevels: voices.updateLevels,

    /** @param {Plan | 'silence'} newPlan */
    execute: (newPlan) => {
      if (newPlan !== 'silence' && newPlan.kind === 'slew') return voices.currentVoice()?.slew(newPlan.byMs);
      planNumber += 1;
      plan = newPlan === 'silence' ? null : newPlan;
      silentPosition = null;
      if (newPlan !== 'silence' && newPlan.kind === 'start') return void executeStart(newPlan);
      if (newPlan !== 'silence') silentPosition = { trackId: newPlan.trackId, positionSec: newPlan.positionSec, hasEnded: false };
      stop();
    },
    scheduleNext: voices.scheduleNext,
    resetOutputClock: () => {
      clockMeter.reset();
      clockMeter.sampleFast();
    },
    /** The latency of the output while a track plays; `null` if unknown. */
    outputLatencyMs: () => (voices.currentVoice() ? clockMeter.latencyMs() : null),

    playTestSound: testSounds.play,

    /** Ends the engine. Its sound fades out. */
    close: () => {
      planNumber += 1;
      context.onstatechange = null;
      lifecycle.end();
      voices.stop();
      after(FADE_OUT_MS, () => context.suspend().catch(() => {}));
      after(CLOSE_DELAY_MS, () => context.close().catch(() => {}));
    },

    /**
     * Each call also measures the output clock and restarts a running context whose time does not advance.
     * @returns {import('./align.js').PlayerReport}
     */
    report: () => {
      clockMeter.sample();
      lifecycle.restartIfStalled();
      return bufferReport(context, clockMeter, { voice: voices.currentVoice(), silentPosition, plan });
    },
  };
}
