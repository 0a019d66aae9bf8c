// A voice plays one track from one place, on a way through it that is known to the sample. Which voice sounds when
// is decided in buffers.js.

import { BLOCK_FRAMES, positionOn, slew } from './output.js';

/** From here to the thread that renders the sound, in seconds. */
export const HAND_OVER_SEC = 0.015;

/** Sounds begin and end in mid-song over this, in seconds: a step would be heard as a click. */
const FADE_SEC = 0.008;

/** @typedef {ReturnType<typeof createVoice>} Voice */

/**
 * @param {AudioContext} context
 * @param {object} part
 * @param {import('../types.js').TrackId} part.trackId
 * @param {import('./output.js').Decoded} part.music
 * @param {number} part.atSec when it begins, on the context's clock
 * @param {number} part.fromSec where in the track
 * @param {(voice: Voice) => void} onEnded called at the track's end, and not after `end`
 */
export function createVoice(context, { trackId, music, atSec, fromSec }, onEnded) {
  const { buffer, leadSec, durationSec } = music;
  const source = new AudioBufferSourceNode(context, { buffer });
  const gain = new GainNode(context);
  source.connect(gain).connect(context.destination);
  if (fromSec > 0) {
    gain.gain.setValueAtTime(0, atSec);
    gain.gain.linearRampToValueAtTime(1, atSec + FADE_SEC);
  }
  source.start(atSec, leadSec + fromSec, durationSec - fromSec);
  let way = [{ atSec, positionSec: fromSec, rate: 1 }];
  let slewUntilSec = 0;

  const voice = {
    trackId,
    atSec,

    /** @param {number} sec of the context's clock */
    positionAt: (sec) => Math.min(positionOn(way, sec), durationSec),
    /** @param {number} sec of the context's clock */
    isSlewing: (sec) => sec < slewUntilSec,

    /** @param {number} byMs to be gained */
    slew: (byMs) => {
      const { rate, blocks } = slew(byMs, context.sampleRate);
      const blockSec = BLOCK_FRAMES / context.sampleRate;
      // A rate counts from the first block on that begins after its moment.
      const block = Math.ceil((context.currentTime + HAND_OVER_SEC) / blockSec);
      const [fromAt, toAt] = [(block + 1) * blockSec, (block + 1 + blocks) * blockSec];
      source.playbackRate.setValueAtTime(rate, (block + 0.5) * blockSec);
      source.playbackRate.setValueAtTime(1, (block + blocks + 0.5) * blockSec);
      const positionSec = positionOn(way, fromAt);
      way = [
        ...way,
        { atSec: fromAt, positionSec, rate },
        { atSec: toAt, positionSec: positionSec + (toAt - fromAt) * rate, rate: 1 },
      ];
      slewUntilSec = toAt;
    },

    /**
     * Ends it softly, from a moment of the context's clock on; at once, if nothing of it has been heard or can be.
     * @param {number} endSec
     */
    end: (endSec) => {
      source.onended = () => gain.disconnect();
      if (context.state !== 'running' || endSec <= atSec) {
        gain.disconnect();
        source.stop();
        return;
      }
      const risen = fromSec > 0 ? Math.min(1, (endSec - atSec) / FADE_SEC) : 1;
      gain.gain.cancelScheduledValues(endSec);
      gain.gain.setValueAtTime(risen, endSec);
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
