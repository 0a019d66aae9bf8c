// Failures of the worker that measures tracks. The worker's thread is replaced; its meter is the real one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLoudnessMeasurement } from '../../../static/js/sound/loudness-measurement.js';
import { createLoudnessMeter } from '../../../static/js/sound/loudness.js';
import { replaceGlobals } from '../support/globals.mjs';

const RATE = 48_000;
const TONE = Float32Array.from({ length: 2 * RATE }, (_, i) => Math.sin((2 * Math.PI * 997 * i) / RATE));
const BUFFER = { sampleRate: RATE, length: TONE.length, numberOfChannels: 1, getChannelData: () => TONE };

/** Workers whose script loads only if `canLoad()`. */
function mockWorkers(t, canLoad) {
  const workers = /** @type {{isTerminated: boolean}[]} */ ([]);
  class Worker {
    isTerminated = false;
    meter = /** @type {any} */ (null);
    constructor() {
      this.isLoaded = canLoad();
      workers.push(this);
    }
    postMessage({ sampleRate, channelCount, channels }) {
      if (!this.isLoaded) return setImmediate(() => this.onerror?.(new Event('error')));
      if (sampleRate) this.meter = createLoudnessMeter(sampleRate, channelCount);
      else setImmediate((result) => this.onmessage({ data: result }), channels ? this.meter.add(channels) : this.meter.result());
    }
    terminate() {
      this.isTerminated = true;
    }
  }
  replaceGlobals(t, { Worker });
  return workers;
}

test('a worker whose script could not be loaded is replaced', async (t) => {
  let canLoad = false;
  const workers = mockWorkers(t, () => canLoad);
  const measure = createLoudnessMeasurement();
  await assert.rejects(measure(BUFFER, () => true));
  assert.deepEqual(workers.map(({ isTerminated }) => isTerminated), [true]);
  canLoad = true;
  const loudness = await measure(BUFFER, () => true);
  assert.ok(loudness && Math.abs(loudness.lufs - -3) < 0.1, JSON.stringify(loudness));
  assert.equal(workers.length, 2);
});

test('after the second failure in a row this phone measures no more', async (t) => {
  const workers = mockWorkers(t, () => false);
  const measure = createLoudnessMeasurement();
  await assert.rejects(measure(BUFFER, () => true));
  for (let i = 0; i < 3; i += 1) assert.equal(await measure(BUFFER, () => true), null);
  assert.deepEqual(workers.map(({ isTerminated }) => isTerminated), [true, true]);
});
