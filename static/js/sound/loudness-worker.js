// The worker side of loudness-measurement.js. `{sampleRate, channelCount}` begins a track; `{channels}` adds samples, and is
// answered so that the page sends the next ones; `{}` ends the track, and is answered with its loudness.

import { createLoudnessMeter } from './loudness.js';

/** @type {ReturnType<typeof createLoudnessMeter> | null} */
let meter = null;

onmessage = ({ data: { sampleRate, channelCount, channels } }) => {
  if (sampleRate) {
    meter = createLoudnessMeter(sampleRate, channelCount);
  } else if (channels) {
    meter?.add(channels);
    postMessage(null);
  } else {
    postMessage(meter?.result());
  }
};
