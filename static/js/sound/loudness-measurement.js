// Measures decoded tracks in a worker. The track is copied to the worker in pieces, because a second copy of a whole decoded
// track might not fit into a phone's memory.

/** Length of a piece in seconds. */
const PIECE_SEC = 5;

/** After this number of failures in a row, this phone measures no more. A single one may be the network's: the script was not loaded. */
const MAX_FAILURES = 2;

/** @typedef {Pick<AudioBuffer, 'sampleRate' | 'length' | 'numberOfChannels' | 'getChannelData'>} Samples */

/** @returns {(buffer: Samples, isNeeded: () => boolean) => Promise<import('./loudness.js').Loudness | null>} measures one track
 *   at a time; `null` if it is no longer needed, and in browsers without module workers (Firefox before 114); rejects if it has
 *   failed and another attempt is worthwhile */
export function createLoudnessMeasurement() {
  /** @type {Worker | null} */
  let worker = null;
  let failureCount = 0;

  /** Sends a message to the worker, and resolves to the answer. @param {object} message @param {Transferable[]} [transfer] */
  function ask(message, transfer = []) {
    return new Promise((resolve, reject) => {
      if (!worker) return reject();
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = reject;
      worker.postMessage(message, transfer);
    });
  }

  return async (buffer, isNeeded) => {
    if (failureCount === MAX_FAILURES) return null;
    try {
      worker ??= new Worker(new URL('./loudness-worker.js', import.meta.url), { type: 'module' });
      const { sampleRate, numberOfChannels: channelCount } = buffer;
      worker.postMessage({ sampleRate, channelCount });
      for (let from = 0; from < buffer.length; from += PIECE_SEC * sampleRate) {
        if (!isNeeded()) return null;
        const channels = Array.from({ length: channelCount }, (_, i) => buffer.getChannelData(i).slice(from, from + PIECE_SEC * sampleRate));
        await ask({ channels }, channels.map((samples) => samples.buffer));
      }
      const loudness = await ask({});
      failureCount = 0;
      return loudness;
    } catch (error) {
      worker?.terminate();
      worker = null;
      failureCount += 1;
      if (failureCount < MAX_FAILURES) throw error;
      return null;
    }
  };
}
