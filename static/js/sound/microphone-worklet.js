// The audio worklet of microphone.js: posts each block of microphone samples to the page.

/** @typedef {new () => {port: MessagePort}} ProcessorClass */

const workletScope =
  /** @type {{AudioWorkletProcessor: ProcessorClass, registerProcessor: (name: string, processor: ProcessorClass) => void}} */ (
    /** @type {unknown} */ (globalThis)
  );

/** The Web Audio API processes blocks of this many frames (the render quantum). */
const QUANTUM_FRAMES = 128;

class MicrophoneProcessor extends workletScope.AudioWorkletProcessor {
  /**
   * Called for each block.
   * @param {Float32Array[][]} inputs the channels of each input; the microphone is the only input
   * @returns {boolean} `true` keeps the processor running
   */
  process([microphoneChannels]) {
    // While the microphone delivers no channel, silence is posted, so that the recording has no gap. The samples are
    // copied, because the browser reuses the array for the next block.
    this.port.postMessage(microphoneChannels?.[0]?.slice() ?? new Float32Array(QUANTUM_FRAMES));
    return true;
  }
}

workletScope.registerProcessor('microphone-processor', MicrophoneProcessor);
