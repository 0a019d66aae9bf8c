// A voice plays one track once on an AudioContext, from a start position to the track's end. Its position is known
// sample-accurately at every context time. voice-scheduler.js decides when each voice plays.

import { QUANTUM_FRAMES, planSlew, positionOnSegments } from './output-clock.js';

/** How far ahead a change must be scheduled to reach the audio thread in time. */
export const SCHEDULING_RESERVE_SEC = 0.015;

/** Duration of the fades in mid-track: a step in the signal would be heard as a click. */
const FADE_SEC = 0.008;

/** @typedef {ReturnType<typeof createVoice>} Voice */

/**
 * @param {AudioContext} context
 * @param {object} options
 * @param {import('../types.js').TrackId} options.trackId
 * @param {import('./output-clock.js').DecodedTrack} options.track
 * @param {number} options.atSec the start, in context time
 * @param {number} options.fromSec the position in the track at the start
 * @param {number} options.level the factor of the track's level
 * @param {AudioNode} output
 * @param {(voice: Voice) => void} onEnded called when the track has played to its end; never called after `voice.end()`
 */
export function createVoice(context, { trackId, track, atSec, fromSec, level }, output, onEnded) {
  const { buffer, leadSec, durationSec } = track;
  const source = new AudioBufferSourceNode(context, { buffer });
  const gain = new GainNode(context);
  source.connect(gain).connect(output);
  const setLevel = () => {
    gain.gain.cancelScheduledValues(0);
    gain.gain.setValueAtTime(fromSec > 0 ? 0 : level, fromSec > 0 ? atSec : 0);
    if (fromSec > 0) gain.gain.linearRampToValueAtTime(level, atSec + FADE_SEC);
  };
  setLevel();
  source.start(atSec, leadSec + fromSec, durationSec - fromSec);
  let segments = [{ atSec, positionSec: fromSec, rate: 1 }];
  let slewUntilSec = 0;

  const voice = {
    trackId,
    atSec,

    /**
     * Changes the level of a voice that has not begun; the level of a sounding track never changes.
     * @param {() => number} currentLevel called only for a voice that has not begun
     */
    changeLevelBeforeStart: (currentLevel) => {
      if (context.currentTime + SCHEDULING_RESERVE_SEC >= atSec) return;
      const newLevel = currentLevel();
      if (newLevel === level) return;
      level = newLevel;
      setLevel();
    },

    /** The position in the track at a context time. @param {number} sec */
    positionAt: (sec) => Math.min(positionOnSegments(segments, sec), durationSec),
    /** @param {number} sec context time */
    isSlewing: (sec) => sec < slewUntilSec,

    /**
     * Advances the position by `byMs`, or delays it if negative, by a small, temporary change of the playback rate.
     * @param {number} byMs
     */
    slew: (byMs) => {
      const { rate, quanta } = planSlew(byMs, context.sampleRate);
      const quantumSec = QUANTUM_FRAMES / context.sampleRate;
      const firstQuantum = Math.ceil((context.currentTime + SCHEDULING_RESERVE_SEC) / quantumSec) + 1;
      const [slewStartSec, slewEndSec] = [firstQuantum * quantumSec, (firstQuantum + quanta) * quantumSec];
      // A rate applies from the first render quantum that begins after its scheduled time. It is scheduled half a quantum
      // before that one begins, so that rounding cannot move it to a neighbouring quantum.
      source.playbackRate.setValueAtTime(rate, slewStartSec - quantumSec / 2);
      source.playbackRate.setValueAtTime(1, slewEndSec - quantumSec / 2);
      const positionSec = positionOnSegments(segments, slewStartSec);
      segments = [
        ...segments,
        { atSec: slewStartSec, positionSec, rate },
        { atSec: slewEndSec, positionSec: positionSec + (slewEndSec - slewStartSec) * rate, rate: 1 },
      ];
      slewUntilSec = slewEndSec;
    },

    /**
     * Fades the voice out from a context time on. A voice that has not begun by then, or whose context does not run, is
     * stopped at once.
     * @param {number} endSec
     */
    end: (endSec) => {
      source.onended = () => gain.disconnect();
      if (context.state !== 'running' || endSec <= atSec) {
        gain.disconnect();
        source.stop();
        return;
      }
      const fadedIn = fromSec > 0 ? Math.min(1, (endSec - atSec) / FADE_SEC) : 1;
      gain.gain.cancelScheduledValues(endSec);
      gain.gain.setValueAtTime(level * fadedIn, endSec);
      gain.gain.linearRampToValueAtTime(0, endSec + FADE_SEC);
      source.stop(endSec + FADE_SEC);
    },
  };
  source.onended = () => {
    gain.disconnect();
    onEnded(voice);
  };
  return voice;
}
