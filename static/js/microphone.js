// The microphone, on secure pages: what it hears from now until it is closed, as plain samples. Nothing of it
// leaves this phone.

import { recorded } from './recording.js';

/** What makes voices clear would bend the sounds that are to be compared. */
const RAW = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };

/** While iOS plays as for music, it does not listen. */
const { audioSession } = /** @type {{audioSession?: {type: string}}} */ (navigator);

/**
 * Asks for the microphone, and listens.
 * @returns {Promise<() => ReturnType<typeof recorded>>} closes it, and gives what it heard; rejects with a sentence for
 *   whoever asked
 */
export async function openMicrophone() {
  const before = audioSession?.type;
  if (audioSession) audioSession.type = 'play-and-record';
  const context = new AudioContext();
  /** @type {MediaStream | null} */
  let stream = null;
  const close = () => {
    stream?.getTracks().forEach((track) => track.stop());
    context.close();
    if (audioSession && before) audioSession.type = before;
  };
  try {
    await context.audioWorklet.addModule(new URL('./microphone-worklet.js', import.meta.url));
    stream = await navigator.mediaDevices.getUserMedia({ audio: RAW });
    const heard = listen(context, stream);
    await context.resume();
    return () => {
      close();
      return heard();
    };
  } catch (error) {
    close();
    throw new Error(sentence(error));
  }
}

/**
 * @param {AudioContext} context
 * @param {MediaStream} stream
 */
function listen(context, stream) {
  const node = new AudioWorkletNode(context, 'microphone', { channelCount: 1, channelCountMode: 'explicit' });
  /** @type {import('./recording.js').Piece[]} */
  const pieces = [];
  node.port.onmessage = ({ data }) => void pieces.push({ samples: data, gotMs: performance.now() });
  // It says nothing itself, but what leads nowhere is not run.
  new MediaStreamAudioSourceNode(context, { mediaStream: stream }).connect(node).connect(context.destination);
  return () => recorded(pieces, context.sampleRate);
}

/** @param {unknown} error */
function sentence(error) {
  const name = error instanceof DOMException ? error.name : '';
  if (name === 'NotAllowedError') return 'The browser does not let this page use the microphone.';
  if (name === 'NotFoundError') return 'This device has no microphone.';
  return 'The microphone cannot be used just now.';
}
