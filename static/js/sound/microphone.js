// Records the microphone as raw samples, on secure pages only. The recording is not sent anywhere.

import { text } from '../language/texts.js';
import { assembleRecording } from './recording.js';

/** Audio constraints that switch off the processing for speech, which would distort the test sounds. */
const RAW_AUDIO_CONSTRAINTS = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };

/** iOS (Safari 16.4 and later) does not record while the type of the audio session is `playback`. */
const { audioSession } = /** @type {{audioSession?: {type: string}}} */ (navigator);

/**
 * @returns {Promise<() => ReturnType<typeof assembleRecording>>} a function that closes the microphone and returns the
 *   recording; rejects with a sentence for the user
 */
export async function openMicrophone() {
  const sessionType = audioSession?.type;
  if (audioSession) audioSession.type = 'play-and-record';
  const context = new AudioContext();
  /** @type {MediaStream | null} */
  let stream = null;
  const closeMicrophone = () => {
    stream?.getTracks().forEach((track) => track.stop());
    context.close();
    if (audioSession && sessionType) audioSession.type = sessionType;
  };
  try {
    await context.audioWorklet.addModule(new URL('./microphone-worklet.js', import.meta.url));
    stream = await navigator.mediaDevices.getUserMedia({ audio: RAW_AUDIO_CONSTRAINTS });
    const recordingSoFar = startRecording(context, stream);
    await context.resume();
    return () => {
      closeMicrophone();
      return recordingSoFar();
    };
  } catch (error) {
    closeMicrophone();
    throw new Error(errorSentence(error));
  }
}

/**
 * @param {AudioContext} context
 * @param {MediaStream} stream
 * @returns {() => ReturnType<typeof assembleRecording>} assembles what has been recorded so far
 */
function startRecording(context, stream) {
  const node = new AudioWorkletNode(context, 'microphone-processor', { channelCount: 1, channelCountMode: 'explicit' });
  /** @type {import('./recording.js').Block[]} */
  const blocks = [];
  node.port.onmessage = ({ data }) => void blocks.push({ samples: data, arrivedAtMs: performance.now() });
  // The node outputs silence, but browsers run only nodes that are connected to the destination.
  new MediaStreamAudioSourceNode(context, { mediaStream: stream }).connect(node).connect(context.destination);
  return () => assembleRecording(blocks, context.sampleRate);
}

/** @param {unknown} error */
function errorSentence(error) {
  const name = error instanceof DOMException ? error.name : '';
  if (name === 'NotAllowedError') return text('microphone.notAllowed');
  if (name === 'NotFoundError') return text('microphone.notFound');
  return text('microphone.notUsable');
}
