// The buffer engine: plays whole decoded tracks on an AudioContext (context-engine.js), and replaces the context when it does not
// fit the output any more. Decoded tracks remain, because every context plays buffers of any sample rate.

import { createContextEngine } from './context-engine.js';
import { startsInTime } from './context-start.js';
import { createDecodedTracks } from './decoded-tracks.js';

/** @typedef {import('../types.js').TrackId} TrackId */
/** @typedef {ReturnType<typeof createBufferEngine>} BufferEngine */

/**
 * @param {Parameters<typeof createContextEngine>[2] & Parameters<typeof createDecodedTracks>[1]} on
 * @param {(trackId: TrackId) => number} levelOf the factor with which a track is played
 */
export function createBufferEngine(on, levelOf) {
  let context = createContext();
  const tracks = createDecodedTracks(() => context, on);
  let engine = createContextEngine(context, tracks.get, on, levelOf);
  let outputGain = 1;
  let wasUnlocked = false;
  let isRenewing = false;

  /** @param {AudioContext} newContext */
  function use(newContext) {
    engine.close();
    context = newContext;
    engine = createContextEngine(context, tracks.get, on, levelOf);
    engine.setOutputGain(outputGain);
  }

  /**
   * Replaces the context if the output has another sample rate now. On iOS, a context with a rate that the output does not have
   * may be distorted. The old context plays on until the new one runs, since browsers may require a gesture for that; then the
   * next gesture tries again.
   */
  async function renewIfRateChanged() {
    if (isRenewing) return;
    const newContext = createContext();
    if (newContext.sampleRate === context.sampleRate) return void newContext.close().catch(() => {});
    isRenewing = true;
    const isRunning = await startsInTime(newContext);
    isRenewing = false;
    if (!isRunning) return void newContext.close().catch(() => {});
    use(newContext);
    // The player starts again at the running position, because the new engine has no track.
    on.change();
  }

  return {
    /** The sample rate of the context and of newly decoded tracks, in Hz. */
    sampleRate: () => context.sampleRate,

    /** Whether the engine is silent until a gesture. */
    isLocked: () => engine.isLocked(),
    /** Whether it is locked because the system has stopped it. */
    isInterrupted: () => engine.isInterrupted(),

    /** Must be called within a gesture. */
    unlock: () => {
      // A context that was made before the first gesture may have another sample rate than the output (iOS).
      if (!wasUnlocked && context.state === 'suspended' && context.currentTime === 0) use(createContext());
      else if (wasUnlocked) renewIfRateChanged();
      wasUnlocked = true;
      engine.unlock();
    },

    prepare: tracks.prepare,
    /** @param {TrackId} trackId */
    isReady: (trackId) => tracks.get(trackId) !== null,
    drop: tracks.drop,
    retainOnly: tracks.retainOnly,
    /** The samples of a track that is ready. @param {TrackId} trackId */
    decodedBuffer: (trackId) => tracks.get(trackId)?.buffer ?? null,

    /** @param {number} gain a factor */
    setOutputGain: (gain) => {
      outputGain = gain;
      engine.setOutputGain(gain);
    },
    updateLevels: () => engine.updateLevels(),

    /** @param {Parameters<typeof engine.execute>[0]} plan */
    execute: (plan) => engine.execute(plan),
    /** @param {Parameters<typeof engine.scheduleNext>[0]} start */
    scheduleNext: (start) => engine.scheduleNext(start),
    /** To be called when the output may have changed. */
    resetOutputClock: () => {
      engine.resetOutputClock();
      if (context.state === 'running') renewIfRateChanged();
    },
    /** The latency of the output while a track plays; `null` if unknown. */
    outputLatencyMs: () => engine.outputLatencyMs(),

    /** @param {import('./test-sound-samples.js').TestSound} name @param {number} atMs when the sound is to be heard */
    playTestSound: (name, atMs) => engine.playTestSound(name, atMs),

    /** As `report` of a context's engine. */
    report: () => engine.report(),
  };
}

function createContext() {
  // Without a stated sample rate, because another rate than the output's costs accuracy: Chromium 156 resamples, and was heard 13 ms
  // late instead of 3.
  return new AudioContext({ latencyHint: 'playback' });
}
