// Plays test sounds (test-sound-samples.js) on an AudioContext, each heard at a given time.

import { after } from '../timer.js';
import { TEST_SOUNDS } from './test-sound-samples.js';

/** A test sound is scheduled this long before it is heard. By then the output clock has been measured again. */
const TEST_SOUND_LEAD_MS = 600;

/**
 * @param {AudioContext} context
 * @param {import('./output-clock-meter.js').OutputClockMeter} clockMeter
 * @param {ReturnType<typeof import('./context-lifecycle.js').createContextLifecycle>} lifecycle
 */
export function createTestSoundPlayer(context, clockMeter, lifecycle) {
  /** @param {import('./test-sound-samples.js').TestSound} name @param {number} atMs */
  function schedule(name, atMs) {
    const atSec = clockMeter.contextSecAt(atMs);
    // A late test sound would be measured as a late speaker.
    if (context.state !== 'running' || atSec < context.currentTime) return;
    const samples = TEST_SOUNDS[name](context.sampleRate);
    const buffer = context.createBuffer(1, samples.length, context.sampleRate);
    buffer.copyToChannel(samples, 0);
    const source = new AudioBufferSourceNode(context, { buffer });
    source.connect(context.destination);
    source.start(atSec);
  }

  return {
    /** @param {import('./test-sound-samples.js').TestSound} name @param {number} atMs when the sound is to be heard */
    play: (name, atMs) => {
      if (lifecycle.isLocked()) return;
      // While nothing plays the context may be suspended, and the measurements of its output clock are outdated.
      lifecycle.resume();
      lifecycle.suspendWhenIdle();
      after(Math.max(0, atMs - performance.now() - TEST_SOUND_LEAD_MS), () => schedule(name, atMs));
    },
  };
}
