// The worklet behind microphone.js: tells what the microphone hears, as it comes.

/** @typedef {new () => {port: MessagePort}} Processor */

const scope = /** @type {{AudioWorkletProcessor: Processor, registerProcessor: (name: string, of: Processor) => void}} */ (
  /** @type {unknown} */ (globalThis)
);

/** One block, as long as the browser has them. */
const FRAMES = 128;

class Microphone extends scope.AudioWorkletProcessor {
  /** @param {Float32Array[][]} inputs */
  process([input]) {
    // A microphone that gives nothing for a moment leaves no hole.
    this.port.postMessage(input?.[0]?.slice() ?? new Float32Array(FRAMES));
    return true;
  }
}

scope.registerProcessor('microphone', Microphone);
