// The simulated phone that the unit tests of playback use.

import assert from 'node:assert/strict';
import test from 'node:test';
import { openAudiblePhone } from '../support/audible-phone.mjs';

const FAKED_GLOBALS = ['AudioContext', 'AudioBufferSourceNode', 'GainNode', 'Audio', 'HTMLMediaElement', 'navigator', 'window'];

test('global variables are restored after two phones in one test', async (t) => {
  const descriptors = () => FAKED_GLOBALS.map((name) => Object.getOwnPropertyDescriptor(globalThis, name));
  const before = descriptors();
  await t.test('two phones replace the global variables', (t) => {
    openAudiblePhone(t);
    openAudiblePhone(t, { touch: true });
    assert.equal(navigator.maxTouchPoints, 5);
  });
  assert.deepEqual(descriptors(), before);
});
