// The speaker delays that result from a microphone measurement.

import assert from 'node:assert/strict';
import test from 'node:test';
import { correctedDelays } from '../../../static/js/ui/microphone-calibration.js';

test('measured lateness is added to the known delays within 500 ms', () => {
  const clients = { m1: { name: '', delayMs: 40 }, m2: { name: '' }, m3: { name: '', delayMs: 400 }, m4: { name: '', delayMs: 9 } };
  const latenessMs = new Map([['m1', 0], ['m2', 180.25], ['m3', 150], ['m4', null], ['m9', 3]]);
  assert.deepEqual(correctedDelays(latenessMs, clients), { m1: -10, m2: 130.25, m3: 500 });
  const tooLate = new Map([['m1', 0], ['m2', 1100], ['m4', 960]]);
  assert.deepEqual(correctedDelays(tooLate, { m1: { name: '' }, m2: { name: '' }, m4: { name: '' } }), { m1: -460, m4: 500 });
  assert.deepEqual(correctedDelays(new Map([['m1', null]]), clients), {});
});

test('repeated measurements do not increase all delays', () => {
  const clients = { m1: { name: '', delayMs: 0 }, m2: { name: '', delayMs: 7 } };
  assert.deepEqual(correctedDelays(new Map([['m1', 1], ['m2', 0]]), clients), { m1: 0, m2: 6 });
});
