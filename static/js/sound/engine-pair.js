// Combines the two engines of the player: executes each plan on the engine of its track. While the buffer engine plays,
// the element engine plays silence (silent-mirror.js). If the system stops one engine, the other one is stopped too.

import { createBufferEngine } from './buffer-engine.js';
import { createElementEngine } from './element-engine.js';
import { canUseBuffers } from './engine-choice.js';
import { createSilentMirror } from './silent-mirror.js';
import { after } from '../timer.js';

/** @typedef {import('./align.js').Plan} Plan */
/** @typedef {import('../types.js').TrackId} TrackId */

/**
 * @param {HTMLAudioElement} audio
 * @param {(trackId: TrackId) => boolean} usesBufferEngine whether the track is assigned to the buffer engine
 * @param {Parameters<typeof createElementEngine>[1] &
 *   Pick<Parameters<typeof createBufferEngine>[0], 'decoded' | 'undecodable'>} on callbacks of both engines
 * @param {(trackId: TrackId) => number} levelOf the factor with which a track is played
 * @param {(trackId: TrackId, droppedTrackId: TrackId | null) => boolean} willDecode whether a track of the element engine will be
 *   decoded, at the latest when `droppedTrackId` is dropped
 */
export function createEnginePair(audio, usesBufferEngine, on, levelOf, willDecode) {
  /** Whether the last plan was for the buffer engine. */
  let isBufferEngineActive = false;
  /** The track of the element engine that the buffer engine takes over, and when the latter begins. */
  /** @type {{trackId: TrackId, atMs: number} | null} */
  let takeover = null;
  let cancelTakeover = () => {};
  /** Whether the element's last plan was for music, not for the mirror's silence. */
  let isElementMusic = false;
  /** The track of the last plan, and the one before it. @type {TrackId | null} */
  let trackId = null;
  /** @type {TrackId | null} */
  let previousTrackId = null;
  /** The level of a track that the buffer engine has taken over. It stays that of the element, which may be lower than intended. */
  /** @type {{trackId: TrackId, level: number} | null} */
  let kept = null;

  /** @param {TrackId} newTrackId */
  function setTrack(newTrackId) {
    if (newTrackId === trackId) return;
    previousTrackId = trackId;
    trackId = newTrackId;
    kept = null;
  }

  function silenceElement() {
    isElementMusic = false;
    elementEngine.execute('silence');
  }

  /** Ends the element's sound of a track once the buffer engine has scheduled the same track. */
  function finishTakeover() {
    if (!takeover || !isBufferEngineActive || !bufferEngine) return;
    const { phase } = bufferEngine.report();
    if (phase !== 'starting' && phase !== 'playing') return;
    const { atMs } = takeover;
    takeover = null;
    cancelTakeover = after(Math.max(0, atMs - performance.now()), silenceElement);
  }

  // An event of the element engine for a track of the buffer engine is about the mirror's silence, and is ignored.
  const elementEngine = createElementEngine(audio, {
    change: () => {
      // If the system pauses the mirror's silence (phone call, unplugged headset), the music must stop too.
      if (isBufferEngineActive && elementEngine.isLocked()) {
        silentMirror.cancel();
        bufferEngine?.execute('silence');
      }
      on.change();
    },
    ended: (trackId) => {
      if (!usesBufferEngine(trackId)) on.ended(trackId);
    },
    unplayable: (trackId) => {
      if (!usesBufferEngine(trackId)) on.unplayable(trackId);
    },
    duration: (trackId, durationSec) => {
      if (!usesBufferEngine(trackId)) on.duration(trackId, durationSec);
    },
  },
  (trackId) => (usesBufferEngine(trackId) ? null : levelOf(trackId)),
  (trackId) => bufferEngine !== null && !bufferEngine.isLocked() && willDecode(trackId, previousTrackId));
  const silentMirror = createSilentMirror(elementEngine);

  const bufferEngine = canUseBuffers()
    ? createBufferEngine({
        change: () => {
          // Without music the mirror's silence must stop, because it would keep the Bluetooth stream and the lock-screen
          // controls active.
          if (isBufferEngineActive && bufferEngine?.isLocked()) {
            silentMirror.cancel();
            elementEngine.execute('silence');
          }
          finishTakeover();
          on.change();
        },
        ended: on.ended,
        nextStarted: (trackId) => {
          setTrack(trackId);
          silentMirror.schedule({ kind: 'start', trackId, positionSec: 0, atMs: performance.now(), isImmediate: true });
        },
        decoded: on.decoded,
        undecodable: on.undecodable,
      }, (trackId) => (kept?.trackId === trackId ? kept.level : levelOf(trackId)))
    : null;

  /** Whether the element plays a track that has been decoded meanwhile, so that the buffer engine can take over. */
  function canTakeOver() {
    const { trackId, phase } = elementEngine.report();
    return isElementMusic && phase === 'playing' && trackId !== null && usesBufferEngine(trackId) && !bufferEngine?.isLocked();
  }

  /** Whether a real track, and not the mirror's silence, is loaded in the element. */
  function isRealTrackLoaded() {
    const { trackId } = elementEngine.report();
    return trackId !== null && !usesBufferEngine(trackId);
  }

  return {
    elementEngine,
    /** `null` if the browser cannot use the buffer engine. */
    bufferEngine,

    /** @param {Plan | 'silence'} plan */
    execute: (plan) => {
      if (plan !== 'silence' && plan.kind === 'slew') return bufferEngine?.execute(plan);
      if (plan !== 'silence') setTrack(plan.trackId);
      silentMirror.cancel();
      cancelTakeover();
      takeover = plan !== 'silence' && plan.kind === 'start' && (takeover || canTakeOver()) && elementEngine.report().trackId === plan.trackId ? plan : null;
      const isForBufferEngine = plan !== 'silence' && usesBufferEngine(plan.trackId);
      const level = elementEngine.level();
      if (takeover && !kept && level !== null) kept = { trackId: takeover.trackId, level };
      if (isBufferEngineActive && !isForBufferEngine) bufferEngine?.execute('silence');
      isBufferEngineActive = isForBufferEngine;
      if (!isForBufferEngine) {
        isElementMusic = plan !== 'silence';
        return elementEngine.execute(plan);
      }
      if (!takeover && (isElementMusic || isRealTrackLoaded())) silenceElement();
      bufferEngine?.execute(plan);
      silentMirror.schedule(plan);
    },

    /** @param {{trackId: TrackId, atMs: number} | null} start of a decoded track; `null` cancels */
    scheduleNext: (start) => bufferEngine?.scheduleNext(isBufferEngineActive ? start : null),

    /** Sets the factor of all tracks. @param {number} gain */
    setOutputGain: (gain) => {
      elementEngine.setOutputGain(gain);
      bufferEngine?.setOutputGain(gain);
    },

    keepAlive: () => {
      silentMirror.cancel();
      if (isBufferEngineActive) bufferEngine?.execute('silence');
      isBufferEngineActive = false;
      elementEngine.keepAlive();
    },

    /** @returns {import('./align.js').PlayerReport} */
    report: () => ((isBufferEngineActive || canTakeOver()) && bufferEngine ? bufferEngine.report() : elementEngine.report()),
  };
}
