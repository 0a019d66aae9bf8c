// The evaluation of recordings by the skew measurement.

import assert from 'node:assert/strict';
import test from 'node:test';
import { RATE } from '../skew/analysis.mjs';
import { music } from '../skew/music.mjs';
import { recoveryTimeSec } from '../skew/scenarios.mjs';

const SONG = music(3, 1);

/** A recording of two phones. @param {Float32Array[]} sounds */
const recordingOf = (...sounds) => ({ sounds, startedMs: 0, cpuWaitShare: 0 });

test('the recovery time is null if no window matches', () => {
  assert.equal(recoveryTimeSec(recordingOf(SONG, new Float32Array(SONG.length)), 1), null);
});

test('phones that are in step throughout have a recovery time of zero', () => {
  assert.equal(recoveryTimeSec(recordingOf(SONG, SONG), 1), 0);
});

test('phones that stay out of step have no recovery time', () => {
  const delayed = new Float32Array(SONG.length);
  delayed.set(SONG.subarray(0, SONG.length - RATE / 50), RATE / 50);
  assert.equal(recoveryTimeSec(recordingOf(SONG, delayed), 1), null);
});
